"""Region features with captions, as SCAN (Lee et al., ECCV 2018) distributes them: `precomp:FOLDER:SPLIT`.

The folder (`coco_precomp`, `f30k_precomp`) holds `SPLIT_ims.npy` (n, 36, 2048), `SPLIT_caps.txt` with one
caption a line, and `SPLIT_ids.txt`; the splits are `train`, `dev`, `test` and, of COCO, `testall`. VSE++ and
many later projects use the same layout, also with one feature vector an image, (n, f).
"""

from pathlib import Path

import numpy as np

from itr_core.errors import SourceError
from itr_core.pairs.captions import clean_caption
from itr_core.pairs.layouts.arrays import pairs_of_features, read_array
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.pairs.splits import separate_split, unknown_split
from itr_core.pairs.text_files import read_text, split_lines


def load(rest: str, *, limit: int | None = None) -> PairSet:
    """Read one split; its images are known by their features only.

    The features have one row an image, or repeat it for each of its five captions; repeated rows are joined.

    Raises:
        SourceError: files of the layout are missing, damaged or do not fit together, or there is no such
            split.
    """
    name, split = separate_split(rest)
    source, root, report = f"precomp:{rest}", Path(name), Report()
    splits = [path.name.removesuffix("_ims.npy") for path in root.glob("*_ims.npy")]
    if not splits:
        raise SourceError(f"{source}: no train_ims.npy, dev_ims.npy or test_ims.npy in {root}.")
    if split is None:
        raise SourceError(f"{source}: a split is missing, as in precomp:{name}:{sorted(splits)[0]}.")
    split = "dev" if split == "val" and "val" not in splits else split
    if split not in splits:
        raise unknown_split(source, split, splits)
    features = read_array(root / f"{split}_ims.npy")
    if features.ndim not in (2, 3) or not len(features):
        raise SourceError(
            f"{root / f'{split}_ims.npy'} has shape {features.shape}; features are (images, numbers) or "
            "(images, regions, numbers)."
        )
    path = root / f"{split}_caps.txt"
    lines = split_lines(read_text(path, report))
    texts = [
        clean_caption(line, report, path.name).strip() for line in lines[: -1 if not lines[-1] else None]
    ]
    if repeats := _repeats(features, len(texts)):
        features = features[::repeats]
        report.note(f"{split}_ims.npy repeats each image {repeats} times; it is read once.")
    each, rest_of = divmod(len(texts), len(features))
    if rest_of or not each:
        raise SourceError(
            f"{path} has {len(texts):,} captions for {len(features):,} images; each image needs the same "
            "number of captions, five in SCAN's files."
        )
    captions = [
        [text for text in texts[start : start + each] if text] for start in range(0, len(texts), each)
    ]
    ids = _ids(root / f"{split}_ids.txt", len(features), len(texts), report)
    image_ids = ids or [f"{split} {row}" for row in range(len(features))]
    return pairs_of_features(features, image_ids, captions, source=source, report=report, limit=limit)


def _repeats(features: np.ndarray, n_captions: int) -> int:
    """Return 5 if there is a row for each caption and five rows in turn are equal, else 0."""
    equal = len(features) == n_captions and not n_captions % 5 and np.array_equal(features[0], features[4])
    return 5 if equal else 0


def _ids(path: Path, n_images: int, n_captions: int, report: Report) -> list[str]:
    """Return the ids of the images, if the file names one for each image, or for each caption of it."""
    if not path.is_file():
        return []
    ids = read_text(path, report).split()
    if len(ids) == n_captions:
        ids = ids[:: n_captions // n_images]
    return ids if len(set(ids)) == len(ids) == n_images else []
