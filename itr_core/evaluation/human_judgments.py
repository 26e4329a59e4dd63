"""Human judgments of relevance and similarity, from published data sets."""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from itr_core.errors import PairscopeError, SourceError
from itr_core.evaluation.text_pairs import tab_separated
from itr_core.metrics.samples import MetricSamples, Queries, QuerySet
from itr_core.metrics.similarity import LazySimilarity
from itr_core.pairs import PairSet


def coco_positives(name: str, pairs: PairSet) -> dict[str, tuple[np.ndarray, LazySimilarity]]:
    """Read the positives of ECCV Caption ("eccv") or CxC ("cxc") on the COCO test split, from `eccv_caption`.

    Images are identified by their COCO ids. The captions of an image must be in the order of COCO's files,
    which Karpathy's file also has; captions beyond the five that both data sets contain are negatives.
    Images and captions that are not in the source are neither queries nor positives. This also concerns two
    captions that ECCV Caption counts as positives although they are not among the 25,000 of the split: its
    own mAP@R includes them and is lower by less than 0.001.

    Args:
        name: "eccv" or "cxc".
        pairs: a source with images of the COCO test split.

    Returns:
        {"t2i", "i2t"} -> rows of the queries (q,), and which items are positives (q, n_items).

    Raises:
        PairscopeError: the package is missing.
        SourceError: no image of the split is in the source.

    References:
        Chun et al., ECCV Caption, ECCV 2022; Parekh et al., Crisscrossed Captions, EACL 2021.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that ujson is missing
            from eccv_caption import Metrics

            known = Metrics()
    except ImportError as error:
        raise PairscopeError(
            f"The protocol {name} needs the package eccv_caption: pip install 'pairscope[eccv]'."
        ) from error
    image_row = {int(i): row for row, i in enumerate(pairs.image_ids) if i.isdecimal()}
    starts = np.searchsorted(pairs.flat_captions()[1], np.arange(len(pairs)))
    caption_row = {
        caption: int(starts[image_row[image]]) + place
        for image, captions in known.coco_gts["i2t"].items()
        if image in image_row
        for place, caption in enumerate(sorted(captions)[: len(pairs.captions[image_row[image]])])
    }
    if not caption_row:
        raise SourceError(
            f"{pairs.source}: no captioned image of the COCO test split, so {name} has no queries. Images "
            "are identified by COCO ids, as in karpathy:dataset_coco.json:test."
        )
    judged = known.eccv_gts if name == "eccv" else known.cxc_gts
    n_captions = sum(map(len, pairs.captions))
    return {
        "t2i": _positives(judged["t2i"], caption_row, image_row, len(pairs)),
        "i2t": _positives(judged["i2t"], image_row, caption_row, n_captions),
    }


def _positives(
    positives: dict[int, list[int]], query_row: dict[int, int], item_row: dict[int, int], n_items: int
) -> tuple[np.ndarray, LazySimilarity]:
    rows = {
        query_row[query]: found
        for query, items in positives.items()
        if query in query_row and (found := [item_row[item] for item in items if item in item_row])
    }
    items = list(rows.values())

    def read(selected: slice) -> np.ndarray:
        relevant = np.zeros((len(items[selected]), n_items), bool)
        for row, own in zip(relevant, items[selected], strict=True):
            row[own] = True
        return relevant

    return np.array(list(rows), dtype=np.int64), LazySimilarity((len(items), n_items), read)


class ExpertGrade(NamedTuple):
    """What experts said of one image and caption number `number` (from 0) of the image `owner`.

    `grade` is the mean of their grades, from 1 (unrelated) to 4 (describes the image without error).
    """

    image: str
    owner: str
    number: int
    grade: float


class Graded(NamedTuple):
    """Pairs of images and captions of a source with their grades; all arrays have the shape (k,).

    Attributes:
        image: rows of the images.
        caption: rows of the captions, in the order of `PairSet.flat_captions`.
        grade: as in `ExpertGrade`.
    """

    image: np.ndarray
    caption: np.ndarray
    grade: np.ndarray


def read_expert_grades(path: Path) -> list[ExpertGrade]:
    """Read the expert judgments of Flickr8k (ExpertAnnotations.txt).

    A line has, separated by tabs: image file, caption id `<image file>#<number>`, and three grades from 1
    (unrelated) to 4 (describes the image without error).

    Raises:
        SourceError: the file or a line cannot be read.

    References:
        Hodosh, Young & Hockenmaier, Framing Image Description as a Ranking Task, JAIR 2013.
    """
    read = []
    for line, (image, caption, *grades) in tab_separated(path, 5):
        owner, _, number = caption.rpartition("#")
        try:
            read.append(ExpertGrade(image, owner, int(number), float(np.mean([float(g) for g in grades]))))
        except ValueError as error:
            raise SourceError(f"{path}, line {line}: {error}.") from error
    return read


def graded_pairs(grades: Iterable[ExpertGrade], pairs: PairSet) -> Graded:
    """Return the judged pairs whose image and caption are in a source; there may be none."""
    image_row = {image_id: row for row, image_id in enumerate(pairs.image_ids)}
    starts = np.searchsorted(pairs.flat_captions()[1], np.arange(len(pairs)))
    found = [
        (image_row[image], int(starts[image_row[owner]]) + number, grade)
        for image, owner, number, grade in grades
        if image in image_row and owner in image_row and 0 <= number < len(pairs.captions[image_row[owner]])
    ]
    image, caption, grade = np.array(found).reshape(-1, 3).T
    return Graded(image.astype(np.int64), caption.astype(np.int64), grade)


def expert_judgments(
    path: Path, pairs: PairSet, images: np.ndarray, texts: np.ndarray
) -> list[MetricSamples]:
    """Measure how cosines agree with the expert judgments of Flickr8k, see `read_expert_grades`.

    Metrics over the judged pairs in the source:

        spearman   rank correlation of cosine and mean grade, in [-1, 1]
        accuracy   how often, of two captions of one image with different mean grades, the one with the higher
                   grade has the higher cosine (a tie counts one half), in percent

    Args:
        path: the file of judgments.
        pairs: the source.
        images: (n, d), unit norm.
        texts: (m, d), unit norm, in the order of `PairSet.flat_captions`.

    Raises:
        SourceError: a line cannot be read, or no judged pair is in the source.
    """
    image, caption, grade = graded_pairs(read_expert_grades(path), pairs)
    if not len(grade):
        raise SourceError(f"{path}: none of its judged pairs is in {pairs.source}.")
    score = np.einsum("ij,ij->i", images[image], texts[caption])
    image_of_pair, agree = _agreements(image, score, grade)
    return [
        spearman("judgments", "", score, grade, image, len(pairs)),
        QuerySet("judgments", "", image_of_pair, len(pairs)).mean("accuracy", agree),
    ]


def _agreements(image: np.ndarray, score: np.ndarray, grade: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare all pairs of rows of one image with different grades: the image, and whether scores agree."""
    rows_of = defaultdict(list)
    for row, owner in enumerate(image):
        rows_of[owner].append(row)
    row_pairs = [pair for rows in rows_of.values() for pair in combinations(rows, 2)]
    a, b = np.array(row_pairs, dtype=np.int64).reshape(-1, 2).T
    a, b = a[grade[a] != grade[b]], b[grade[a] != grade[b]]
    return image[a], (1 + np.sign(score[a] - score[b]) * np.sign(grade[a] - grade[b])) / 2


def spearman(
    protocol: str, direction: str, score: np.ndarray, judged: np.ndarray, image: np.ndarray, n_images: int
) -> MetricSamples:
    """Spearman's rank correlation of `score` and `judged`, (q,) each, in [-1, 1]; NaN if one is constant."""
    from scipy.stats import spearmanr  # half a second to import

    def correlation(rows: np.ndarray) -> float:
        constant = (rows == rows[0]).all(axis=0).any()
        return np.nan if constant else float(spearmanr(rows).statistic)

    both = Queries(np.stack([score, judged], axis=1), image, n_images)
    return MetricSamples(protocol, direction, "spearman", (both,), correlation)
