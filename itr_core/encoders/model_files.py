"""The files of a model, in a folder or in a repository of the hub, and its weights as safetensors."""

import math
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import Self

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from itr_core.encoders.foreign_json import read_json
from itr_core.encoders.hub import Repository
from itr_core.errors import ModelError

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"


class ModelFiles:
    """The files of a model.

    Args:
        source: a folder, or `ORG/REPO[@REVISION]` on the hub.

    Raises:
        ModelError: The source is neither.
    """

    def __init__(self, source: str) -> None:
        folder = Path(source).expanduser()
        if not folder.is_dir() and source.startswith(("/", ".", "~")):
            raise ModelError(f"There is no folder {source!r}; check the path, or write ORG/REPO of the hub.")
        self._folder = folder if folder.is_dir() else None
        self._repository = None if self._folder else Repository(source)
        self._source = source
        self._prefix = ""

    def __str__(self) -> str:
        """Return the source, with the commit of a repository once a file of it has been opened."""
        return str(self._repository or self._source)

    def inside(self, folder: str) -> Self:
        """Return the files of a folder in this one; '' is this one."""
        files = copy(self)
        files._prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        return files

    def find(self, name: str) -> Path | None:
        """Return a file, or None if there is none of this name."""
        if self._repository is not None:
            return self._repository.find(self._prefix + name)
        assert self._folder is not None
        path = self._folder / self._prefix / name
        return path if path.is_file() else None

    def file(self, name: str) -> Path:
        """Return a file that the model must have.

        Raises:
            ModelError: There is none of this name.
        """
        path = self.find(name)
        if path is None:
            raise ModelError(
                f"{self} has no {name}. It must be a folder that save_pretrained wrote, or a repository of "
                "the hub in this layout; check name and network."
            )
        return path

    def weights(self) -> list[Path]:
        """Return the files with the weights: one, or the parts that an index lists.

        Raises:
            ModelError: There are none in safetensors.
        """
        index = self.find(WEIGHTS_INDEX)
        if index is not None:
            parts = sorted({str(part) for part in dict(read_json(index).get("weight_map", {})).values()})
            if any(Path(part).name != part or not part.endswith(".safetensors") for part in parts):
                raise ModelError(f"{index} names a file that is no .safetensors file beside it.")
            return [self._weights(part) for part in parts]
        return [self._weights(WEIGHTS)]

    def _weights(self, name: str) -> Path:
        path = self._repository.weights([self._prefix + name]) if self._repository else self.find(name)
        if path is None:
            raise ModelError(
                f"{self} has no {name}. Pickled weights (.bin, .pt) are never read, because they can run "
                "code; ask its authors for safetensors."
            )
        return path


def number_of_weights(files: Iterable[Path]) -> int:
    """Return the number of scalars in safetensors files, without reading them."""
    total = 0
    for path in files:
        with safe_open(path, "pt") as file:
            names = file.keys()
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    return total


def require_weights(described: int, files: Iterable[Path], config: Path) -> None:
    """Refuse a configuration that describes a much larger model than the weights, before it takes memory.

    Args:
        described: number of weights of the model that the configuration describes.
        files: its weights.
        config: the configuration, for the message.

    Raises:
        ModelError: It has more than twice as many weights.
    """
    stored = number_of_weights(files)
    if described > 2 * stored + 1_000_000:
        raise ModelError(f"{config} describes a model of {described:,} weights, but {stored:,} are stored.")


def read_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """Read all tensors of safetensors files."""
    weights: dict[str, Tensor] = {}
    for path in files:
        weights |= load_file(path)
    return weights
