"""Sources of image-text pairs behind one function: `load_pairs(spec) -> PairSet`."""

from importlib import import_module
from pathlib import Path
from typing import Any

from itr_core.errors import SourceError, did_you_mean
from itr_core.pairs.caption_files import TABLES
from itr_core.pairs.columns import check_roles
from itr_core.pairs.decoding import decode_image
from itr_core.pairs.pairset import Pair, PairSet, Relevance
from itr_core.pairs.report import Skipped

__all__ = ["Pair", "PairSet", "Relevance", "Skipped", "check_spec", "decode_image", "load_pairs"]

# Scheme -> function(rest of the spec, limit=..., named options), imported on first use.
_SOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "picturebook": ("itr_core.picturebook.source:load", ()),
    "folder": ("itr_core.pairs.folder:load", ("columns",)),
    "parquet": ("itr_core.pairs.parquet:load", ("columns", "image_root")),
    "table": ("itr_core.pairs.table_file:load", ("columns", "image_root")),
    "karpathy": ("itr_core.pairs.coco:load", ("columns", "image_root")),
    "coco": ("itr_core.pairs.coco:load", ("columns", "image_root")),
    "hub": ("itr_core.pairs.hub:load", ("columns", "image_root")),
}


def load_pairs(
    spec: str,
    *,
    columns: dict[str, Any] | None = None,
    image_root: str | Path | None = None,
    limit: int | None = None,
) -> PairSet:
    """Load a source of image-text pairs without decoding its images.

    Unusable images are skipped and listed in `PairSet.skipped`.

    Args:
        spec: `picturebook[:split]`, `folder:PATH`, `parquet:FILE` (also a glob or a folder),
            `karpathy:FILE.json[:split]`, `coco:FILE.json`, `hub:ORG/NAME[:split]`, or the path of a folder, a
            .parquet file or a .json file.
        columns: names of columns that are not recognised: {"image": name, "captions": name or list of names,
            "image_id": name, "labels": name}; all keys are optional.
        image_root: folder of the images, if they are not next to the file that names them.
        limit: maximum number of images; the first ones are used.

    Raises:
        SourceError: an unknown, missing or unreadable source, or an option that it does not have.
    """
    if limit is not None and limit < 1:
        raise SourceError(f"limit={limit}: must be at least 1.")
    check_roles(columns or {})
    scheme, rest = _parse(spec)
    target, accepted = _SOURCES[scheme]
    options = {"columns": columns, "image_root": image_root}
    given = {name: value for name, value in options.items() if value is not None}
    if foreign := sorted(given.keys() - set(accepted)):
        raise SourceError(f"{spec}: a {scheme} source has no option {' or '.join(foreign)}; remove it.")
    module, function = target.split(":")
    pairs: PairSet = getattr(import_module(module), function)(rest, limit=limit, **given)
    pairs.options = given | ({} if limit is None else {"limit": limit})
    return pairs


def check_spec(spec: str) -> None:
    """Raise SourceError if a spec names no kind of source and no file or folder; no data is read."""
    _parse(spec)


def _parse(spec: str) -> tuple[str, str]:
    scheme, colon, rest = spec.partition(":")
    if scheme in _SOURCES:
        if not rest and scheme != "picturebook":
            raise SourceError(f"{spec!r}: the path is missing, as in {scheme}:PATH.")
        return scheme, rest
    path = Path(spec)
    if spec and path.is_dir():
        return ("parquet" if next(path.rglob("*.parquet"), None) else "folder"), spec
    if path.suffix == ".parquet" and path.is_file():
        return "parquet", spec
    if Path(spec.removesuffix(":" + spec.rpartition(":")[2])).suffix == ".json":
        return "karpathy", spec
    if path.is_file() and path.suffix.lower() in TABLES:
        return "table", spec
    if path.is_file():
        raise SourceError(
            f"{spec}: a source is a folder or a .parquet, {', '.join(TABLES)} file, not a {path.suffix} file."
        )
    if colon:
        raise SourceError(f"Unknown kind of source {scheme!r} in {spec!r}.{did_you_mean(scheme, _SOURCES)}")
    known = ", ".join(f"{scheme}:..." for scheme in _SOURCES)
    raise SourceError(f"{spec!r}: no such file or folder. A source is a path or one of: {known}.")
