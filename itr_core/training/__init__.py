"""Training: `train` makes a checkpoint folder from a method, a source and a model; `TrainConfig` is its settings.

Both names are imported when first used, so that the command line can read the settings without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itr_core.training.config import TrainConfig
    from itr_core.training.trainer import train

_HOME = {"TrainConfig": "itr_core.training.config", "train": "itr_core.training.trainer"}

__all__ = ["TrainConfig", "train"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'itr_core.training' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
