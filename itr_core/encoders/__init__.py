"""Dual encoders: load an open_clip model, encode images and texts with it, and save it."""

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder

__all__ = ["DualEncoder", "load_encoder"]
