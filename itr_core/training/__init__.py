"""Training: `train` writes a checkpoint folder; `TrainConfig` has its settings.

Both names are imported at first use, so that reading the settings does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itr_core.training.config import TrainConfig
    from itr_core.training.trainer import train

_MODULES = {"TrainConfig": "itr_core.training.config", "train": "itr_core.training.trainer"}

__all__ = ["TrainConfig", "train"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'itr_core.training' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
