"""Pairscope's core: sources of image-text pairs, dual encoders, training, galleries and search.

    from itr_core import load_pairs, load_encoder, Gallery, Searcher

The names below are imported when first used, so that `import itr_core` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itr_core.encoders import DualEncoder, load_encoder
    from itr_core.evaluation import evaluate
    from itr_core.gallery import Gallery
    from itr_core.pairs import Pair, PairSet, load_pairs
    from itr_core.retrieval import Hit, Searcher
    from itr_core.training import train

_HOME = {
    "DualEncoder": "itr_core.encoders",
    "Gallery": "itr_core.gallery",
    "Hit": "itr_core.retrieval",
    "Pair": "itr_core.pairs",
    "PairSet": "itr_core.pairs",
    "Searcher": "itr_core.retrieval",
    "evaluate": "itr_core.evaluation",
    "load_encoder": "itr_core.encoders",
    "load_pairs": "itr_core.pairs",
    "train": "itr_core.training",
}

__all__ = [
    "DualEncoder", "Gallery", "Hit", "Pair", "PairSet", "Searcher",
    "evaluate", "load_encoder", "load_pairs", "train",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'itr_core' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
