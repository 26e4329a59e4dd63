"""Truth and similarity as people judged them, from files of others."""

import warnings
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from itr_core.errors import PairscopeError, SourceError
from itr_core.metrics.samples import MetricSamples, Queries, QuerySet
from itr_core.metrics.similarity import LazySimilarity
from itr_core.pairs import PairSet


def coco_positives(name: str, pairs: PairSet) -> dict[str, tuple[np.ndarray, LazySimilarity]]:
    """What ECCV Caption ("eccv") or CxC ("cxc") calls right on COCO's test split, from `eccv_caption`.

    Images are known by their COCO ids. An image's captions must come in the order of theirs, as they do in
    Karpathy's file and in COCO's own; more than the five that the two data sets know stay as rivals. What is
    not in the source is neither asked nor right. That holds for two captions that ECCV Caption calls right
    but that lie outside the split's 25,000; its own mAP@R counts them, and is lower by less than 0.001.

    Returns {"t2i", "i2t"} -> rows of the queries (q,), and which items are right (q, n_items). Raises
    PairscopeError where the package is missing, SourceError where no image of the split is in the source.

    References:
        Chun et al., ECCV Caption, ECCV 2022; Parekh et al., Crisscrossed Captions, EACL 2021.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would like to have ujson
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
            f"{pairs.source}: no captioned image of COCO's test split, so {name} has nothing to ask. Images "
            "are known by COCO's ids, as in karpathy:dataset_coco.json:test."
        )
    judged = known.eccv_gts if name == "eccv" else known.cxc_gts
    n_captions = sum(map(len, pairs.captions))
    return {
        "t2i": _asked(judged["t2i"], caption_row, image_row, len(pairs)),
        "i2t": _asked(judged["i2t"], image_row, caption_row, n_captions),
    }


def _asked(
    right: dict[int, list[int]], query_row: dict[int, int], item_row: dict[int, int], n_items: int
) -> tuple[np.ndarray, LazySimilarity]:
    rows = {
        query_row[query]: here
        for query, items in right.items()
        if query in query_row and (here := [item_row[item] for item in items if item in item_row])
    }
    items = list(rows.values())

    def read(chosen: slice) -> np.ndarray:
        relevant = np.zeros((len(items[chosen]), n_items), bool)
        for row, own in zip(relevant, items[chosen], strict=True):
            row[own] = True
        return relevant

    return np.array(list(rows), dtype=np.int64), LazySimilarity((len(items), n_items), read)


def expert_judgments(
    path: Path, pairs: PairSet, images: np.ndarray, texts: np.ndarray
) -> list[MetricSamples]:
    """How the scores of images (n, d) and captions (m, d) agree with Flickr8k's ExpertAnnotations.txt.

    Its lines, separated by tabs: image file, caption id `<image file>#<place>`, three grades from 1
    (unrelated) to 4 (describes it without error). Figures, of the judged pairs that are in the source:

        spearman   rank correlation of cosine and mean grade, in [-1, 1]
        accuracy   of two captions of one image with different mean grades, the better one scores higher (a
                   tie counts half), in percent

    Raises SourceError: an unreadable line, or no judged pair in the source.

    References:
        Hodosh, Young & Hockenmaier, Framing Image Description as a Ranking Task, JAIR 2013.
    """
    image_row = {image_id: row for row, image_id in enumerate(pairs.image_ids)}
    starts = np.searchsorted(pairs.flat_captions()[1], np.arange(len(pairs)))
    judged: list[tuple[int, int, float]] = []
    for place, (image, caption, *grades) in _lines(path, 5):
        image_of_caption, _, number = caption.rpartition("#")
        try:
            mean, nth = float(np.mean([float(grade) for grade in grades])), int(number)
        except ValueError as error:
            raise SourceError(f"{path}, line {place}: {error}.") from error
        if (
            image in image_row
            and image_of_caption in image_row
            and 0 <= nth < len(pairs.captions[image_row[image_of_caption]])
        ):
            judged.append((image_row[image], int(starts[image_row[image_of_caption]]) + nth, mean))
    if not judged:
        raise SourceError(f"{path}: none of the image-caption pairs it judges is in {pairs.source}.")
    image, caption = np.array([each[:2] for each in judged]).T
    grade = np.array([each[2] for each in judged])
    score = np.einsum("ij,ij->i", images[image], texts[caption])
    whose, agree = _agreements(image, score, grade)
    return [
        spearman("judgments", "", score, grade, image, len(pairs)),
        QuerySet("judgments", "", whose, len(pairs)).mean("accuracy", agree),
    ]


def _agreements(image: np.ndarray, score: np.ndarray, grade: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every two rows of one image whose grades differ: the image, and whether scores order them alike."""
    rows_of = defaultdict(list)
    for row, image_of_caption in enumerate(image):
        rows_of[image_of_caption].append(row)
    two = [pair for rows in rows_of.values() for pair in combinations(rows, 2)]
    a, b = np.array(two, dtype=np.int64).reshape(-1, 2).T
    a, b = a[grade[a] != grade[b]], b[grade[a] != grade[b]]
    return image[a], (1 + np.sign(score[a] - score[b]) * np.sign(grade[a] - grade[b])) / 2


def read_sts(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Read lines `text1 <tab> text2 <tab> score` as STS benchmarks have them; raise SourceError."""
    first, second, scores = [], [], []
    for place, (one, other, score) in _lines(path, 3):
        first.append(one)
        second.append(other)
        try:
            scores.append(float(score))
        except ValueError as error:
            raise SourceError(f"{path}, line {place}: {score!r} is no score.") from error
    return first, second, np.array(scores)


def spearman(
    protocol: str, direction: str, score: np.ndarray, judged: np.ndarray, image: np.ndarray, n_images: int
) -> MetricSamples:
    """Spearman's rank correlation of two numbers (q,), in [-1, 1]; NaN where either is constant."""
    from scipy.stats import spearmanr  # half a second to import

    def correlation(rows: np.ndarray) -> float:
        constant = (rows == rows[0]).all(axis=0).any()
        return np.nan if constant else float(spearmanr(rows).statistic)

    both = Queries(np.stack([score, judged], axis=1), image, n_images)
    return MetricSamples(protocol, direction, "spearman", (both,), correlation)


def _lines(path: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error}).") from error
    if not lines:
        raise SourceError(f"{path} is empty.")
    for place, line in enumerate(lines, 1):
        fields = line.split("\t")
        if len(fields) != columns:
            raise SourceError(f"{path}, line {place}: {len(fields)} columns between tabs, not {columns}.")
        yield place, fields
