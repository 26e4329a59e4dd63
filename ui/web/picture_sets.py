"""Which sets of pictures can be opened with which models, by the options of the app."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from itr_core.encoders.loading import starters
from itr_core.errors import PairscopeError
from itr_core.gallery import is_gallery
from itr_core.gallery.manifest import Manifest
from itr_core.gallery.names import unique_names
from itr_core.pairs import check_spec

DEFAULT_MODEL = "starter:infonce"
SYNTHETIC = "picturebook"
"""Scheme of the sources whose pictures are drawn by a program."""


class Choice(NamedTuple):
    """A set of pictures with one of its models.

    Attributes:
        set: Name of the set.
        model: Name of the model.
        pictures: Folder of a gallery, or source.
        spec: Spec of the model; None for the one in the manifest of the gallery.
        source: Source of the pictures; "" if a gallery's manifest cannot be read.
    """

    set: str
    model: str
    pictures: str
    spec: str | None
    source: str

    @property
    def synthetic(self) -> bool:
        """Whether the pictures are drawn by a program."""
        return self.source.partition(":")[0] == SYNTHETIC


def choices(pictures: Sequence[str], models: Sequence[str]) -> dict[str, Choice]:
    """Return all choices by their names: the name of the set, and for models after the first "set (model)".

    Args:
        pictures: Folders made by `pairscope build`, or sources.
        models: Model specs; without any, `starter:infonce`, and for Picturebook the other starters as well.
            A gallery folder has one model: the one in its manifest, unless it is not among `models`; then
            the first of these, whose weights must be the same.

    Raises:
        SourceError: A spec names no kind of source and no file or folder.
    """
    pictures = [os.path.expanduser(spec) for spec in pictures]
    for spec in pictures:
        check_spec(spec)
    found: list[tuple[str, Choice]] = []
    for name, spec in zip(unique_names(map(set_name, pictures)), pictures, strict=True):
        for number, (model, source, model_spec) in enumerate(_models(spec, models)):
            key = f"{name} ({model})" if number else name
            found.append((key, Choice(name, model, spec, model_spec, source)))
    return dict(zip(unique_names(key for key, _ in found), (choice for _, choice in found), strict=True))


def _models(spec: str, models: Sequence[str]) -> Iterable[tuple[str, str, str | None]]:
    """Return name of the model, source and model spec of each choice of a set."""
    if is_gallery(Path(spec)):
        built_by = source = ""
        with suppress(PairscopeError):  # reported when the gallery is opened
            manifest = Manifest.read(Path(spec))
            built_by, source = manifest.model, manifest.source
        chosen = built_by if built_by in models else next(iter(models), None)
        return [(model_name(chosen or built_by), source, chosen)]
    if not models:
        others = [each for each in starters() if each != DEFAULT_MODEL] if _is_synthetic(spec) else []
        models = [DEFAULT_MODEL, *others]
    return [
        (name, spec, each) for name, each in zip(unique_names(map(model_name, models)), models, strict=True)
    ]


def _is_synthetic(spec: str) -> bool:
    return not Path(spec).exists() and spec.partition(":")[0] == SYNTHETIC


def set_name(spec: str) -> str:
    """Return the name that visitors see: 'photos' for photos/ and folder:my/photos, else 'picturebook'."""
    scheme, _, rest = spec.partition(":")
    if scheme == SYNTHETIC and not Path(spec).exists():
        return scheme
    path = Path(spec if Path(spec).exists() else rest).resolve()
    return path.name if path.is_dir() else path.stem


def model_name(spec: str) -> str:
    """Return the name of a model that visitors see; no path of the server.

    >>> [model_name(spec) for spec in ("starter:cusa", "hf-hub:ORG/REPO", "ViT-B-32/openai")]
    ['cusa', 'REPO', 'ViT-B-32/openai']
    """
    _, colon, rest = spec.partition(":")
    return Path(rest if colon else spec).name if colon or Path(spec).exists() else spec
