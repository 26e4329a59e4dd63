"""MIRFLICKR-25K (Huiskes and Lew, 2008) in its official layout: `mirflickr:FOLDER[:split]`.

The folder holds what the two official archives contain: `im1.jpg` ... with `meta/tags/tags1.txt` ... and
`doc/common_tags.txt` (in `mirflickr/` or directly), and the annotations `animals.txt`, `baby.txt`, ...
"""

import re
from collections import Counter
from pathlib import Path

from itr_core.errors import SourceError
from itr_core.pairs.captions import clean_caption
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_files import Named, pairs_of_names
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.layouts.hashing_splits import random_parts, rows_of_part
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.pairs.splits import separate_split
from itr_core.pairs.text_files import read_bytes, read_text, split_lines

COMMON = 20
"""Images in which a tag of the hashing literature occurs at least; 1,386 tags do."""
_IMAGE = re.compile(r"im([0-9]+)\.jpg", re.I)
# The 24 "potential" labels. The 14 files *_r1.txt ("relevant") are stricter and not used in hashing.
LABELS = (
    "animals", "baby", "bird", "car", "clouds", "dog", "female", "flower", "food", "indoor", "lake", "male",
    "night", "people", "plant_life", "portrait", "river", "sea", "sky", "structures", "sunset", "transport",
    "tree", "water",
)  # fmt: skip


def load(
    rest: str,
    *,
    image_root: str | Path | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read images with their common tags as one caption and their potential labels.

    Images without a common tag or without a label are left out, as in the hashing literature: 20,015 of
    25,000 remain. Splits: `train` (10,000), `val` (2,000), `query` (2,000) and `database` (all others than
    the queries); see `hashing_splits`.

    Raises:
        SourceError: files of the layout are missing or damaged, or there is no such split.
    """
    name, split = separate_split(rest)
    source, root, report = f"mirflickr:{rest}", Path(name), Report()
    images = image_root or next(
        (folder for folder in (root / "mirflickr", root) if (folder / "meta" / "tags").is_dir()), None
    )
    notes = _annotations(root)
    if images is None or notes is None:
        missing = "meta/tags" if images is None else f"annotations ({LABELS[0]}.txt, ...)"
        raise SourceError(
            f"{source}: no {missing} in this folder. Unpack mirflickr25k.zip and "
            "mirflickr25k_annotations_v080.zip into it."
        )
    folder = Path(images)
    numbers = sorted(int(match[1]) for path in folder.iterdir() if (match := _IMAGE.fullmatch(path.name)))
    if not numbers:
        raise SourceError(f"{source}: no images im1.jpg, im2.jpg, ... in {folder}.")
    tags = {number: _tags(folder, number, report) for number in numbers}
    common = _common_tags(folder, tags, report)
    labels = _labels(notes, report)
    kept = [n for n in numbers if labels.get(n) and any(tag in common for tag in tags[n])]
    if not kept:
        raise SourceError(
            f"{source}: no image has both a label and a tag that occurs in at least {COMMON} images."
        )
    if len(kept) < len(numbers):
        report.note(
            f"{len(kept):,} of {len(numbers):,} images have a label and a common tag; the others are not "
            "read, as in the hashing literature."
        )
    entries = [
        Named(
            f"im{number}",
            [f"im{number}.jpg"],
            [" ".join(tag for tag in tags[number] if tag in common)],
            labels[number],
        )
        for number in (kept[row] for row in rows_of_part(random_parts(len(kept)), split, len(kept), source))
    ]
    search = ImageSearch([folder], [folder], options)
    return pairs_of_names(entries, search, source=source, report=report, limit=limit)


def _annotations(root: Path) -> Path | None:
    """Return the folder of the annotations: this one or one directly in it."""
    folders = [root, *sorted(path for path in root.glob("*") if path.is_dir())]
    return next((folder for folder in folders if (folder / f"{LABELS[0]}.txt").is_file()), None)


def _tags(folder: Path, number: int, report: Report) -> list[str]:
    path = folder / "meta" / "tags" / f"tags{number}.txt"
    if not path.is_file():
        report.changed("Images without a file of tags, not read", f"im{number}.jpg")
        return []
    text = read_bytes(path).decode("utf-8", "replace")
    lines = (clean_caption(line, report, path.name).strip() for line in split_lines(text))
    return [line for line in lines if line]


def _common_tags(folder: Path, tags: dict[int, list[str]], report: Report) -> set[str]:
    """Return the tags of `doc/common_tags.txt`, or count them if the file is missing."""
    path = folder / "doc" / "common_tags.txt"
    if path.is_file():
        return {line.split()[0] for line in split_lines(read_text(path, report)) if line.strip()}
    counts = Counter(tag for own in tags.values() for tag in set(own))
    return {tag for tag, count in counts.items() if count >= COMMON}


def _labels(folder: Path, report: Report) -> dict[int, list[str]]:
    """Return the labels of each image by its number."""
    labels: dict[int, list[str]] = {}
    for name in LABELS:
        path = folder / f"{name}.txt"
        for line, text in enumerate(split_lines(read_text(path, report)), 1):
            if not text.strip():
                continue
            if not text.strip().isdecimal():
                raise SourceError(
                    f"{path}, line {line}: {text.strip()[:40]!r} is not the number of an image."
                )
            labels.setdefault(int(text), []).append(name)
    return labels
