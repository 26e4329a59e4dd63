"""What is published: the files of a repository on the hub."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from itr_core.encoders.checksums import CHECKSUMS, damage, listed_files
from itr_core.errors import ModelError, PairscopeError
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import NAME

ROOT = Path(__file__).parents[2]
SPACE_PARTS = (
    "app.py", "README.md", "LICENSE", "CITATION.cff", "requirements.txt",
    "itr_core", "analysis", "ui", "assets",
)  # fmt: skip
"""Files and folders of this repository that the app needs."""


@dataclass(frozen=True)
class Contents:
    """The files of one repository.

    Attributes:
        kind: Kind of the repository. A gallery is a data set.
        files: Path in the repository -> file on disk, or its content.
        variables: Environment variables of a Space.
        notes: What the reader should know before these files are public.
    """

    kind: Literal["space", "model", "dataset"]
    files: dict[str, Path | bytes]
    variables: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file."""
        return {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size
            for name, file in self.files.items()
        }


def space_contents(gallery: str = "", model: str = "", root: Path = ROOT) -> Contents:
    """Return the app as a Space, with the galleries and the model that it serves as variables.

    Args:
        gallery: Value of PAIRSCOPE_GALLERY; empty for the built-in world.
        model: Value of PAIRSCOPE_MODEL; empty for the default.
        root: The repository.

    Raises:
        PairscopeError: Pairscope does not run from its repository.
    """
    missing = [part for part in SPACE_PARTS if not (root / part).exists()]
    if missing:
        raise PairscopeError(
            f"A Space is published from the repository of Pairscope, and {root} has no {missing[0]}. Clone "
            "the repository, install it with pip install -e ., and repeat the command."
        )
    names = [name for name in _tracked(root) if name.partition("/")[0] in SPACE_PARTS]
    named = {"PAIRSCOPE_GALLERY": gallery, "PAIRSCOPE_MODEL": model}
    return Contents(
        "space",
        {name: root / name for name in names},
        {name: value for name, value in named.items() if value},
    )


def model_contents(folder: Path) -> Contents:
    """Return a checkpoint folder, without the training state.

    Raises:
        ModelError: The folder is no checkpoint of Pairscope, or was changed.
    """
    if not (folder / CHECKSUMS).is_file():
        raise ModelError(f"{folder} has no {CHECKSUMS}: name a folder that pairscope train has written.")
    if changed := damage(folder):
        raise ModelError(f"{folder} is damaged: {changed}.")
    names = [*listed_files(folder), CHECKSUMS]
    files: dict[str, Path | bytes] = {name: folder / name for name in names}
    card = folder / "README.md"
    files["README.md"] = card if card.is_file() else _MODEL_CARD.encode()
    return Contents("model", files)


def gallery_contents(folder: Path) -> Contents:
    """Return a gallery with a card.

    Raises:
        GalleryError: The folder is no gallery, or is damaged.
    """
    about = Gallery.open(folder).manifest
    files: dict[str, Path | bytes] = {name: folder / name for name in (NAME, *about.files)}
    files["README.md"] = _GALLERY_CARD.format(
        images=about.images, captions=about.captions, model=about.model, dim=about.dim
    ).encode()
    notes = (
        "A gallery contains thumbnails and captions of its pictures: make sure that you may publish them.",
        f"The manifest names the source {about.source!r} and the model {about.model!r}.",
    )
    return Contents("dataset", files, notes=notes)


def _tracked(root: Path) -> list[str]:
    """Return the files of a repository by their names: those that git knows, or all if there is no git."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True, text=True
        ).stdout.split("\0")
        names = [name for name in listed if (root / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in names if "__pycache__" not in name and not (root / name).is_symlink())


_MODEL_CARD = """---
library_name: open_clip
pipeline_tag: zero-shot-image-classification
tags: [image-text-retrieval, open_clip, pairscope]
---

A dual encoder for image-text retrieval, trained with Pairscope. `training.json` has the method, the data and
the settings. It has the layout of open_clip: `hf-hub:ORG/NAME` names it there and in Pairscope.
"""
_GALLERY_CARD = """---
tags: [image-text-retrieval, pairscope]
viewer: false
---

A gallery of Pairscope: {images:,} pictures as thumbnails with {captions:,} captions, embedded by `{model}`
in {dim} dimensions and ready to search:

    pairscope demo hub-gallery:ORG/NAME

`manifest.json` lists every file with its SHA-256 digest, which is checked when the gallery is opened. The
licence of the pictures and captions is that of their source.
"""
