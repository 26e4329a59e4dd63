"""Dual encoders: load an open_clip model, encode images and texts with it, and save it."""

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.encoder import Encoder

__all__ = ["DualEncoder", "Encoder", "load_encoder"]
