"""Features, bags of words and labels in the files of CRCGS (SIGIR 2022): `arrays:FOLDER[:split]`.

The folder holds `feature.npy` (n, f), `bow.npy` (n, words) and `label.npy` (n, labels), and the rows of the
splits in `train_data_list.npy`, `val_data_list.npy` and `test_data_list.npy`, the queries. If the lists are
missing, the splits are drawn as in `hashing_splits`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from itr_core.errors import SourceError
from itr_core.pairs.layouts.arrays import pairs_of_features, read_array
from itr_core.pairs.layouts.hashing_splits import SIZES, parts_by_class, random_parts, rows_of_part
from itr_core.pairs.layouts.nuswide import CONCEPTS
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.pairs.splits import separate_split
from itr_core.pairs.text_files import read_text

_FEATURES = ("feature.npy", "features.npy", "vgg_19_mirflickr_features.npy")
_LISTS = {"train": "train_data_list.npy", "val": "val_data_list.npy", "query": "test_data_list.npy"}
_COCO_LABELS = 80
_COCO_SIZES = {"train": 10_000, "query": 5_000, "val": 5_000}


def load(rest: str, *, limit: int | None = None) -> PairSet:
    """Read features in the place of images, and the words of each bag as one caption.

    `words.txt` and `labels.txt` name the columns, separated by white space; without them the words are
    `word0`, `word1`, ... and the labels `label0`, ... Rows without words are left out. An 81st column of
    labels, which COCO's files have, is dropped, as by the authors.

    Raises:
        SourceError: files are missing, damaged or do not fit together, or there is no such split.
    """
    name, split = separate_split(rest)
    source, root, report = f"arrays:{rest}", Path(name), Report()
    features = read_array(_first(root, source, *_FEATURES))
    bags = read_array(_first(root, source, "bow.npy"))
    labels = read_array(_first(root, source, "label.npy", "labels.npy"))
    shapes = f"features {features.shape}, bow.npy {bags.shape}, labels {labels.shape}"
    if not (features.ndim == bags.ndim == labels.ndim == 2 and len(features) == len(bags) == len(labels)):
        raise SourceError(f"{source}: {shapes}; they need the same number of rows and two dimensions.")
    has_label = np.asarray(labels[:, :_COCO_LABELS] if labels.shape[1] == _COCO_LABELS + 1 else labels) > 0
    usable = np.flatnonzero(np.asarray(bags).any(axis=1))
    if not len(usable):
        raise SourceError(f"{source}: bow.npy has no row with a word.")
    rows = _rows(root, source, split, usable, has_label)
    words = _names(root / "words.txt", "word", bags.shape[1], report)
    names = _names(root / "labels.txt", "label", has_label.shape[1], report)
    return pairs_of_features(
        features[rows],
        [str(row) for row in rows],
        [[" ".join(words[column] for column in np.flatnonzero(bags[row]))] for row in rows],
        [[names[column] for column in np.flatnonzero(has_label[row])] for row in rows],
        source=source,
        report=report,
        limit=limit,
    )


def _first(root: Path, source: str, *names: str) -> Path:
    if found := next((path for name in names if (path := root / name).is_file()), None):
        return found
    raise SourceError(f"{source}: no {names[0]} in this folder; it needs feature.npy, bow.npy and label.npy.")


def _rows(
    root: Path, source: str, split: str | None, usable: np.ndarray, has_label: np.ndarray
) -> np.ndarray:
    """Return the rows of a split, of the authors' lists if they are in the folder."""
    if all((root / name).is_file() for name in _LISTS.values()):
        parts = {part: read_array(root / name) for part, name in _LISTS.items()}
        for part, rows in parts.items():
            if rows.ndim != 1 or rows.dtype.kind not in "iu" or not (rows < len(has_label)).all():
                raise SourceError(f"{root / _LISTS[part]}: must list rows below {len(has_label)}.")
        chosen = rows_of_part(parts, split, len(has_label), source)
        return chosen[np.isin(chosen, usable)]
    return usable[rows_of_part(_drawn(has_label[usable]), split, len(usable), source)]


def _drawn(has_label: np.ndarray) -> Mapping[str, np.ndarray]:
    """Draw the parts; the number of labels tells NUS-WIDE (21), COCO (80) and MIRFLICKR (24) apart."""
    n, n_labels = has_label.shape
    if n_labels == CONCEPTS:
        return parts_by_class(has_label)
    return random_parts(n, _COCO_SIZES if n_labels == _COCO_LABELS else SIZES)


def _names(path: Path, stem: str, n: int, report: Report) -> list[str]:
    if not path.is_file():
        return [f"{stem}{column}" for column in range(n)]
    names = read_text(path, report).split()
    if len(set(names)) != n or len(names) != n:
        raise SourceError(f"{path}: {len(set(names))} different names for {n} columns.")
    return names
