"""Which images of COCO's test split match its captions, as people judged."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.query_truth import QueryTruth, plain
from itr_core.errors import PairscopeError
from itr_core.evaluation.human_judgments import coco_positives
from itr_core.gallery import Gallery
from itr_core.pairs import PairSet
from itr_core.picturebook.scene import Scene

JUDGMENTS = {"eccv": "ECCV Caption", "cxc": "CxC"}
"""Judgments in the order in which they are asked: name of the protocol -> title."""


class JudgedTruth:
    """The truth of captions of COCO's test split about a gallery of its images; None for all other texts.

    Only captions were judged: those of ECCV Caption, which has few captions and almost all their images, else
    those of CxC.

    Raises:
        PairscopeError: The package eccv_caption is missing, or no image of the split is in the gallery.
    """

    closed = False
    unknown = (
        "Truth unknown for this wording.",
        "It is known of captions of this gallery that people compared with other pictures.",
    )

    def __init__(self, gallery: Gallery) -> None:
        from datasets import Dataset  # a second to import

        captions = gallery.items["captions"].tolist()
        columns = {"image": [None] * len(gallery), "captions": captions}
        columns |= {"image_id": gallery.items["image_id"].tolist()}
        pairs = PairSet(Dataset.from_dict(columns), source=gallery.manifest.source)
        texts, self._image = pairs.flat_captions()
        self._captions: dict[str, list[int]] = {}
        for caption, text in enumerate(texts):
            self._captions.setdefault(plain(text), []).append(caption)
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


def judged_truth(gallery: Gallery) -> JudgedTruth | None:
    """Return what people judged about a gallery of COCO, or None for others and without eccv_caption."""
    kind, _, rest = gallery.manifest.source.partition(":")
    if kind != "karpathy" or "coco" not in rest.lower():
        return None
    try:
        return JudgedTruth(gallery)
    except PairscopeError:
        return None


def _missing(true: NDArray[np.bool_], row: int) -> str:
    return "" if true[row] else "nobody judged it as right"
