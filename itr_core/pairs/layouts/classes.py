"""Image retrieval by class, without captions: `cub:`, `sop:` and `inshop:`, in their official layouts.

An image has one label, its class. The splits are those of metric learning: training and test images have
different classes.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from itr_core.errors import SourceError
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_files import Named, pairs_of_names
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.pairs.splits import rows_of_split, separate_split
from itr_core.pairs.text_files import read_text, split_lines

CUB_TRAINING_CLASSES = 100
"""The first 100 of the 200 classes of CUB are for training (Oh Song et al., CVPR 2016)."""
Listed = tuple[str, str, str]
"""Path of an image, its class and its split."""


def _load(
    scheme: str,
    read: Callable[[Path, Report], Iterable[Listed]],
    images: Sequence[str],
    rest: str,
    *,
    image_root: str | Path | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read a data set whose lists are read by `read`.

    Raises:
        SourceError: files of the layout are missing or damaged, or there is no such split.
    """
    name, split = separate_split(rest)
    source, root, report = f"{scheme}:{rest}", Path(name), Report()
    listed = list(read(root, report))
    if not listed:
        raise SourceError(f"{source}: its lists name no images.")
    if split:
        listed = [listed[row] for row in rows_of_split([part for _, _, part in listed], split, source)]
    entries = [Named(path, [path], [], [label]) for path, label, _ in listed]
    folders = [Path(image_root)] if image_root else [root / name for name in images]
    search = ImageSearch(folders, folders, options)
    return pairs_of_names(entries, search, source=source, report=report, limit=limit)


def _cub(root: Path, report: Report) -> Iterable[Listed]:
    paths = dict(_rows(root / "images.txt", 2, report))
    class_of_image = dict(_rows(root / "image_class_labels.txt", 2, report))
    names = dict(_rows(root / "classes.txt", 2, report))
    for image, path in paths.items():
        number = class_of_image.get(image, "")
        if not number.isdecimal() or number not in names:
            raise SourceError(
                f"{root / 'image_class_labels.txt'}: the image {image} ({path}) has no class of classes.txt."
            )
        yield path, names[number], "train" if int(number) <= CUB_TRAINING_CLASSES else "test"


def _sop(root: Path, report: Report) -> Iterable[Listed]:
    for split in ("train", "test"):
        for _, label, _, path in _rows(root / f"Ebay_{split}.txt", 4, report, header="image_id"):
            yield path, label, split


def _inshop(root: Path, report: Report) -> Iterable[Listed]:
    name = "list_eval_partition.txt"
    path = next((path for path in (root / name, root / "Eval" / name) if path.is_file()), root / name)
    return ((image, label, split) for image, label, split in _rows(path, 3, report, header="image_name"))


def _rows(path: Path, columns: int, report: Report, header: str = "") -> Iterable[list[str]]:
    """Yield the columns of the lines of a list; a line that is only a number counts the others."""
    for number, line in enumerate(split_lines(read_text(path, report)), 1):
        cells = line.split(maxsplit=columns - 1)
        if not cells or cells[0] == header or (header and number == 1 and re.fullmatch(r"\d+", line.strip())):
            continue
        if len(cells) != columns:
            raise SourceError(f"{path}, line {number}: {len(cells)} columns instead of {columns}.")
        yield [cell.strip() for cell in cells]


load_cub = partial(_load, "cub", _cub, ("images",))
"""Read CUB-200-2011 (Wah et al., 2011) with the splits `train` and `test`: classes 1-100 and 101-200."""
load_sop = partial(_load, "sop", _sop, ("",))
"""Read Stanford Online Products (Oh Song et al., CVPR 2016) with the splits `train` and `test`."""
load_inshop = partial(_load, "inshop", _inshop, ("Img", ""))
"""Read In-Shop Clothes (Liu et al., CVPR 2016) with the splits `train`, `query` and `gallery`."""
