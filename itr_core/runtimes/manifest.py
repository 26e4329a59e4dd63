"""`export.json`: what an exported model is, how its input is prepared, and how it was measured."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from itr_core.encoders.foreign_json import Foreign
from itr_core.system.files import sha256

NAME = "export.json"
RUNTIMES = ("onnx", "openvino")
TOLERANCE = 0.3
"""Points of R@1 that an export may lose."""


class Figures(Foreign):
    """R@1 in percent of one direction, of the torch model and of the export."""

    name: str
    torch: float
    exported: float


class WeightFile(Foreign):
    """A file of the checkpoint that was exported."""

    name: str
    size: int
    modified: int
    """Time of its last change in nanoseconds since 1970."""
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "WeightFile":
        """Describe a file as it is now."""
        about = path.stat()
        return cls(name=path.name, size=about.st_size, modified=about.st_mtime_ns, sha256=sha256(path))

    def is_same(self, path: Path) -> bool:
        """Tell whether a file has this content; it is read only if its size or time differs."""
        about = path.stat()
        return (about.st_size, about.st_mtime_ns) == (self.size, self.modified) or sha256(path) == self.sha256


class Check(Foreign):
    """A measurement of an export on a source."""

    source: str
    images: int
    figures: list[Figures]

    def losses(self) -> str:
        """Name the figures that are more than `TOLERANCE` below those of torch; empty if there are none."""
        return ", ".join(
            f"{each.name} {each.exported:.2f} instead of {each.torch:.2f}"
            for each in self.figures
            if each.torch - each.exported > TOLERANCE + 1e-9
        )


class Export(Foreign):
    """Content of `export.json`."""

    format: Literal[1] = 1
    model: str
    model_fingerprint: str
    runtime: Literal["onnx", "openvino"]
    precision: Literal["fp32", "bf16", "int8"]
    dim: int
    size: Annotated[list[int], Field(min_length=2, max_length=2)]
    """Height and width of the images."""
    resize_mode: Literal["shortest", "squash"]
    interpolation: Literal["bicubic", "bilinear"]
    context_length: int
    any_length: bool
    """Whether texts are encoded at their own length."""
    pad_id: int
    clean: Literal["lower", "whitespace", "canonicalize"]
    weights: list[WeightFile]
    """Files of the checkpoint, if the model is one on this machine."""
    check: Check | None = None
