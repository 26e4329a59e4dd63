"""NUS-WIDE (Chua et al., 2009) in its official layout: `nuswide:FOLDER[:split]`.

The folder holds `Groundtruth/AllLabels/Labels_*.txt`, `ImageList/Imagelist.txt`, `NUS_WID_Tags/All_Tags.txt`
and `NUS_WID_Tags/TagList1k.txt`, and the images in `Flickr/`. The text files may also lie in the folder.
"""

import re
from pathlib import Path, PurePosixPath

import numpy as np

from itr_core.errors import SourceError
from itr_core.pairs.captions import clean_caption
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_files import Named, pairs_of_names
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.layouts.hashing_splits import parts_by_class, rows_of_part
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.pairs.splits import separate_split
from itr_core.pairs.text_files import read_bytes, read_text, split_lines

CONCEPTS = 21
"""The most frequent of the 81 concepts, which the hashing literature uses (TC-21)."""
_FOLDERS = ("", "Groundtruth/AllLabels", "Groundtruth", "AllLabels", "ImageList", "NUS_WID_Tags")
_LABELS = re.compile(r"Labels_(.+)\.txt")


def load(
    rest: str,
    *,
    image_root: str | Path | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read images with their tags as one caption and, as labels, those of the 21 most frequent concepts.

    Only the 1,000 tags of `TagList1k.txt` are read. Images without such a tag or without such a label are
    left out. Splits: `train`, `val` and `query` have 500, 100 and 100 images of each concept, `database` all
    others than the queries; see `hashing_splits`.

    Raises:
        SourceError: files of the layout are missing or do not fit together, or there is no such split.
    """
    name, split = separate_split(rest)
    source, root, report = f"nuswide:{rest}", Path(name), Report()
    listing = _file(root, source, "Imagelist.txt", "ImageList.txt")
    images = [
        PurePosixPath(line.strip().replace("\\", "/"))
        for line in split_lines(read_text(listing, report))
        if line.strip()
    ]
    names, has_label = _concepts(root, source, listing.name, len(images))
    texts = _texts(root, source, report)
    ids = [_id(path) for path in images]
    kept = np.flatnonzero(has_label.any(axis=1) & np.array([bool(texts.get(each)) for each in ids]))
    if not len(kept):
        raise SourceError(f"{source}: no image has both a label and one of the tags in TagList1k.txt.")
    report.note(
        f"{len(kept):,} of {len(images):,} images have one of the {len(names)} most frequent concepts and "
        "one of the 1,000 tags; the others are not read, as in the hashing literature."
    )
    rows = kept[rows_of_part(parts_by_class(has_label[kept]), split, len(kept), source)]
    entries = [
        Named(
            str(images[row].with_suffix("")),
            [str(images[row]), images[row].name],
            [texts[ids[row]]],
            [name for name, has in zip(names, has_label[row], strict=True) if has],
        )
        for row in rows
    ]
    folder = Path(image_root) if image_root else root
    search = ImageSearch([folder / "Flickr", folder / "images", folder], [folder], options)
    return pairs_of_names(entries, search, source=source, report=report, limit=limit)


def _file(root: Path, source: str, *names: str) -> Path:
    paths = [root / folder / name for folder in _FOLDERS for name in names]
    if found := next((path for path in paths if path.is_file()), None):
        return found
    raise SourceError(
        f"{source}: no {names[0]} in this folder. It needs the official files Groundtruth/AllLabels, "
        "ImageList and NUS_WID_Tags (All_Tags.txt, TagList1k.txt)."
    )


def _concepts(root: Path, source: str, listing: str, n: int) -> tuple[list[str], np.ndarray]:
    """Return the names of the most frequent concepts, and which of the n images has which, (n, C) bool."""
    files = {}
    for folder in _FOLDERS:
        if files := {
            match[1]: path
            for path in (root / folder).glob("Labels_*.txt")
            if (match := _LABELS.fullmatch(path.name))
        }:
            break
    if not files:
        raise SourceError(f"{source}: no Labels_*.txt in {root / 'Groundtruth' / 'AllLabels'}.")
    columns = {}
    for name, path in sorted(files.items()):
        columns[name] = np.array(read_bytes(path).split()) == b"1"
        if len(columns[name]) != n:
            raise SourceError(
                f"{path}: {len(columns[name]):,} lines, but {listing} names {n:,} images. Both must come "
                "from the same version of NUS-WIDE, with all images (AllLabels, not TrainTestLabels)."
            )
    order = sorted(columns, key=lambda name: (-columns[name].sum(), name))[:CONCEPTS]
    names = sorted(name for name in order if columns[name].any())
    if not names:
        raise SourceError(f"{source}: no image has a concept; the files Labels_*.txt have no line with 1.")
    return names, np.stack([columns[name] for name in names], axis=1)


def _texts(root: Path, source: str, report: Report) -> dict[str, str]:
    """Return the known tags of each image in one line, by the id of its photo."""
    known = set(read_text(_file(root, source, "TagList1k.txt"), report).split())
    texts = {}
    text = read_bytes(_file(root, source, "All_Tags.txt")).decode("utf-8", "replace")
    for line in split_lines(text):
        photo, *tags = clean_caption(line, report, "All_Tags.txt").split() or [""]
        texts[photo] = " ".join(tag for tag in tags if tag in known)
    return texts


def _id(path: PurePosixPath) -> str:
    """Return the id of the photo in a file name: `actor/0001_2124494179.jpg` -> `2124494179`."""
    return path.stem.rpartition("_")[2]
