"""Dual encoders: load an open_clip model, encode images and texts with it, and save it.

The names below are imported when first used: exported models need modules of this package, but no torch.
"""

from typing import TYPE_CHECKING

from itr_core.encoders.encoder import Encoder

if TYPE_CHECKING:
    from itr_core.encoders.dual_encoder import DualEncoder, load_encoder

__all__ = ["DualEncoder", "Encoder", "load_encoder"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'itr_core.encoders' has no attribute {name!r}")
    from itr_core.encoders import dual_encoder

    return getattr(dual_encoder, name)
