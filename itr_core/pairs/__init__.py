"""Sources of image-text pairs behind one function: `load_pairs(spec) -> PairSet`."""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from itr_core.errors import PairscopeError, SourceError, reason_of
from itr_core.pairs.columns import check_roles
from itr_core.pairs.decoding import decode_image
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.pairset import Pair, PairSet, Relevance
from itr_core.pairs.report import Skipped
from itr_core.pairs.specs import parse_spec

__all__ = [
    "SOURCE_OPTIONS",
    "Pair",
    "PairSet",
    "Relevance",
    "Skipped",
    "check_spec",
    "decode_image",
    "load_pairs",
    "options_of",
]

SOURCE_OPTIONS = ("columns", "image_root", "exclude", "follow_links", "max_megapixels", "stream")
"""Options of `load_pairs` that some kinds of sources have; all have `limit`."""

_FILES = ("follow_links", "max_megapixels")
# Scheme -> function(rest of the spec, limit=..., named options), imported on first use.
_SOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "picturebook": ("itr_core.picturebook.source:load", ()),
    "folder": ("itr_core.pairs.folder:load", ("columns", "exclude", *_FILES)),
    "archive": ("itr_core.pairs.archive_source:load", ("columns", "exclude", *_FILES)),
    "parquet": ("itr_core.pairs.parquet:load", ("columns", "image_root", *_FILES)),
    "table": ("itr_core.pairs.table_file:load", ("columns", "image_root", *_FILES)),
    "karpathy": ("itr_core.pairs.coco:load", ("columns", "image_root", *_FILES)),
    "coco": ("itr_core.pairs.coco:load", ("columns", "image_root", *_FILES)),
    "hub": ("itr_core.pairs.hub:load", ("columns", "image_root", "stream", *_FILES)),
    "mirflickr": ("itr_core.pairs.layouts.mirflickr:load", ("image_root", *_FILES)),
    "nuswide": ("itr_core.pairs.layouts.nuswide:load", ("image_root", *_FILES)),
    "precomp": ("itr_core.pairs.layouts.precomp:load", ()),
    "arrays": ("itr_core.pairs.layouts.crcgs:load", ()),
    "cub": ("itr_core.pairs.layouts.classes:load_cub", ("image_root", *_FILES)),
    "sop": ("itr_core.pairs.layouts.classes:load_sop", ("image_root", *_FILES)),
    "inshop": ("itr_core.pairs.layouts.classes:load_inshop", ("image_root", *_FILES)),
}


def load_pairs(
    spec: str,
    *,
    columns: dict[str, Any] | None = None,
    image_root: str | Path | None = None,
    limit: int | None = None,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    max_megapixels: float | None = None,
    stream: bool = False,
) -> PairSet:
    """Load a source of image-text pairs without decoding its images.

    Unusable images are skipped and listed in `PairSet.skipped`.

    Args:
        spec: `picturebook[:split]`, `folder:PATH`, `parquet:FILE` (also a glob or a folder),
            `table:FILE`, `karpathy:FILE.json[:split]`, `coco:FILE.json`, `archive:FILE` (also a folder or a
            range of shards), `hub:ORG/NAME[:split]`, a folder in the layout of a data set
            (`mirflickr:PATH[:split]`, `nuswide:`, `cub:`, `sop:`, `inshop:`) or of features
            (`precomp:PATH:split`, `arrays:PATH[:split]`), or the path of a folder or file.
        columns: names of columns that are not recognised: {"image": name, "captions": name or list of names,
            "image_id": name, "labels": name}; all keys are optional.
        image_root: folder of the images, if they are not next to the file that names them.
        limit: maximum number of images; the first ones are used.
        exclude: globs of files and folders of a folder or archive that are left out, such as `*.png`.
        follow_links: also read what symbolic links lead to, outside of the source.
        max_megapixels: images with more million pixels are skipped; 50 by default.
        stream: do not download a data set of the hub, but read its captions now, and its images when they are
            used.

    Raises:
        SourceError: an unknown, missing or unreadable source, or an option that it does not have.
    """
    if limit is not None and limit < 1:
        raise SourceError(f"limit={limit}: must be at least 1.")
    check_roles(columns or {})
    files = FileOptions.of(exclude, follow_links, max_megapixels)
    scheme, rest = parse_spec(spec, _SOURCES)
    target, accepted = _SOURCES[scheme]
    root = os.path.expanduser(str(image_root)) if image_root is not None else None
    named = {"columns": columns, "image_root": root, "stream": stream or None}
    options = named | {
        "exclude": files.exclude or None,
        "follow_links": follow_links or None,
        "max_megapixels": max_megapixels,
    }
    given = {name for name, value in options.items() if value is not None}
    if foreign := sorted(given - set(accepted)):
        raise SourceError(f"{spec}: a {scheme} source has no option {' or '.join(foreign)}; remove it.")
    arguments: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if "max_megapixels" in accepted:
        arguments["options"] = files
    module, function = target.split(":")
    try:
        pairs: PairSet = getattr(import_module(module), function)(rest, limit=limit, **arguments)
    except PairscopeError:
        raise
    except Exception as error:  # of a library, on data that nobody thought of
        reason = reason_of(error)
        raise SourceError(f"{spec}: cannot be read ({type(error).__name__}: {reason}).") from error
    pairs.options = {name: options[name] for name in options if name in given}
    pairs.options |= {} if limit is None else {"limit": limit}
    return pairs


def check_spec(spec: str) -> None:
    """Raise SourceError if a spec names no kind of source and no file or folder; no data is read."""
    if not Path(spec).expanduser().exists():
        parse_spec(spec, _SOURCES)


def options_of(spec: str) -> frozenset[str]:
    """Return which of `SOURCE_OPTIONS` the kind of source of a spec has; no data is read.

    Raises:
        SourceError: the spec names no kind of source and no file or folder.
    """
    return frozenset(_SOURCES[parse_spec(spec, _SOURCES)[0]][1])
