"""Which images match the captions of COCO's test split and of Flickr8k, as people judged."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.query_truth import QueryTruth, plain
from itr_core.errors import PairscopeError
from itr_core.evaluation.human_judgments import ExpertGrade, Graded, coco_positives, graded_pairs
from itr_core.gallery import Gallery
from itr_core.pairs import PairSet
from itr_core.picturebook.scene import Scene

JUDGMENTS = {"eccv": "ECCV Caption", "cxc": "CxC"}
"""Judgments in the order in which they are asked: name of the protocol -> title."""

RIGHT_GRADE = 3
"""Least mean grade of a caption that is right: the experts' grade for a description with minor errors."""


class JudgedTruth(ABC):
    """The truth of captions of a gallery, as people judged; None for all other texts and for pictures."""

    closed = False
    unknown = (
        "Truth unknown for this wording.",
        "It is known of captions of this gallery that people compared with other pictures.",
    )

    def __init__(self, pairs: PairSet) -> None:
        self._n_images = len(pairs)
        texts, self._image_of_caption = pairs.flat_captions()
        self._captions: dict[str, list[int]] = {}
        for caption, text in enumerate(texts):
            self._captions.setdefault(plain(text), []).append(caption)

    @abstractmethod
    def of_query(self, text: str) -> QueryTruth | None:
        """Return the truth of any text."""

    def of_caption(self, text: str, row: int) -> tuple[bool, str] | None:
        """Return whether a text is true of one image, and what is false."""
        truth = self.of_query(text)
        return truth.of(row) if truth else None

    def of_item(self, row: int) -> QueryTruth | None:
        """Return the truth of an image as a query: nobody judged it."""
        return None

    def of_scene(self, scene: Scene) -> QueryTruth | None:
        """Return the truth of a drawing as a query: nobody judged it."""
        return None


class CocoTruth(JudgedTruth):
    """Judgments of captions of COCO's test split.

    They are those of ECCV Caption, which has few captions and almost all their images, else those of CxC.

    Raises:
        PairscopeError: The package eccv_caption is missing, or no image of the split is in the gallery.
    """

    def __init__(self, pairs: PairSet) -> None:
        super().__init__(pairs)
        self._judged: dict[str, Any] = {}
        for name in JUDGMENTS:
            rows, positives = coco_positives(name, pairs)["t2i"]
            self._judged[name] = {caption: place for place, caption in enumerate(rows.tolist())}, positives

    def of_query(self, text: str) -> QueryTruth | None:
        """Return the truth of any text."""
        captions = self._captions.get(plain(text), [])
        for name, title in JUDGMENTS.items():
            place_of, positives = self._judged[name]
            places = [place_of[caption] for caption in captions if caption in place_of]
            if not places:
                continue
            true = np.logical_or.reduce([positives[slice(each, each + 1)][0] for each in places])
            return QueryTruth(true, partial(_missing, true), f"People judged this ({title}).")
        return None


class ExpertTruth(JudgedTruth):
    """Grades of experts for captions of Flickr8k, each for a few images.

    A caption is right for the images whose mean grade is at least `RIGHT_GRADE`, and for its own.
    """

    def __init__(self, graded: Graded, pairs: PairSet) -> None:
        super().__init__(pairs)
        self._grades: dict[int, dict[int, float]] = {}
        for image, caption, grade in zip(*graded, strict=True):
            self._grades.setdefault(int(caption), {})[int(image)] = float(grade)

    def of_query(self, text: str) -> QueryTruth | None:
        """Return the truth of any text."""
        captions = self._captions.get(plain(text), [])
        grades = {image: grade for each in captions for image, grade in self._grades.get(each, {}).items()}
        if not grades:
            return None
        true, known = np.zeros((2, self._n_images), bool)
        own = self._image_of_caption[captions]
        true[own] = known[own] = True
        for image, grade in grades.items():
            true[image], known[image] = true[image] or grade >= RIGHT_GRADE, True
        return QueryTruth(true, partial(_grade, true, grades), "Experts graded pictures from 1 to 4.", known)


def judged_truth(gallery: Gallery, experts: Sequence[ExpertGrade] = ()) -> JudgedTruth | None:
    """Return what people judged about a gallery, or None.

    Args:
        gallery: The gallery. COCO's judgments need the package eccv_caption.
        experts: Expert judgments of Flickr8k; those of pairs that are not in the gallery are ignored.
    """
    if experts:
        pairs = _pairs(gallery)
        graded = graded_pairs(experts, pairs)
        if len(graded.grade):
            return ExpertTruth(graded, pairs)
    kind, _, rest = gallery.manifest.source.partition(":")
    if kind != "karpathy" or "coco" not in rest.lower():
        return None
    try:
        return CocoTruth(_pairs(gallery))
    except PairscopeError:
        return None


def _pairs(gallery: Gallery) -> PairSet:
    from datasets import Dataset  # a second to import

    columns = {"image": [None] * len(gallery), "captions": gallery.items["captions"].tolist()}
    columns |= {"image_id": gallery.items["image_id"].tolist()}
    return PairSet(Dataset.from_dict(columns), source=gallery.manifest.source)


def _missing(true: NDArray[np.bool_], row: int) -> str:
    return "" if true[row] else "nobody judged it as right"


def _grade(true: NDArray[np.bool_], grades: dict[int, float], row: int) -> str:
    return "" if true[row] else f"experts: {grades[row]:.1f} of 4"
