"""The rankings of all captions by one model, from which it can be compared with others of the same images."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from itr_core.evaluation.relevance_matrix import PackedRelevance
from itr_core.metrics import CosineSimilarity
from itr_core.metrics.bootstrap import Difference, interval, two_sided_p
from itr_core.metrics.precision import precision_at_r
from itr_core.metrics.samples import MetricSamples, QuerySet, recalls
from itr_core.pairs.pairset import Relevance
from itr_core.retrieval.index import ExactIndex

DEPTH = 20
"""Number of images per caption that are kept."""
SHOWN = 12
"""Number of images per caption that are counted as found: those that the page shows first."""
_ROWS = 512


class Estimate(NamedTuple):
    """A metric with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """Results of one model for m captions and n images, in the order of the gallery.

    Attributes:
        first: (m, k) int32, rows of the images that rank first for each caption, best first; k is at most 20.
        right: (m, k) bool, whether each of them is right: the caption is true of it, where the truth is
            known; else it is the image of the caption.
        rights: (m,) int64, number of right images of each caption.
        own: (m,) float64, rank of the image of the caption (`itr_core.metrics.ranks`).
        names: (c,) names of metrics, such as t2i_r1, rsum and exact_t2i_map_at_r.
        values: (c,) their values, in percent; rSum is at most 600.
        drawn: (c, 1000) their values in the draws of images of `itr_core.metrics.bootstrap`, which are the
            same for all models of the same images.
    """

    first: np.ndarray
    right: np.ndarray
    rights: np.ndarray
    own: np.ndarray
    names: np.ndarray
    values: np.ndarray
    drawn: np.ndarray

    @classmethod
    def of(
        cls,
        images: np.ndarray,
        texts: np.ndarray,
        image_of_caption: np.ndarray,
        ranks: tuple[np.ndarray, np.ndarray],
        truth: Relevance | None,
    ) -> "Compared":
        """Compute the results of one model.

        Args:
            images: (n, d) unit vectors.
            texts: (m, d) unit vectors.
            image_of_caption: (m,) image row of each caption.
            ranks: T2I ranks (m,) and I2T ranks (n,), see `itr_core.metrics.ranks`.
            truth: which caption is true of which image, if known.
        """
        index = ExactIndex(images)
        first = np.concatenate(
            [index.search(texts[row : row + _ROWS], DEPTH)[1] for row in range(0, len(texts), _ROWS)]
        ).astype(np.int32)
        samples = [each for each in recalls("standard", *ranks, image_of_caption) if each.metric != "medr"]
        if truth is None:
            right, rights = first == image_of_caption[:, None], np.ones(len(texts), np.int64)
        else:
            packed = PackedRelevance(truth, len(images), len(texts))
            right, rights = _looked_up(packed, first)
            samples += _exact(packed, images, texts, image_of_caption)
        return cls(
            first, right, rights, ranks[0],
            np.array([each.name for each in samples]),
            np.array([each.value for each in samples]),
            np.array([each.bootstrap() for each in samples]),
        )  # fmt: skip

    @property
    def found(self) -> np.ndarray:
        """Share of the right images among the first 12, of 12 if there are more: (m,), NaN without any."""
        most = np.minimum(self.rights, min(SHOWN, self.first.shape[1])).astype(float)
        with np.errstate(invalid="ignore"):
            return self.right[:, :SHOWN].sum(axis=1) / most

    def estimates(self) -> dict[str, Estimate]:
        """Return every metric with its interval, by name."""
        rows = zip(self.names.tolist(), self.values.tolist(), self.drawn, strict=True)
        return {name: Estimate(value, *interval(drawn)) for name, value, drawn in rows}

    def minus(self, other: "Compared") -> dict[str, Difference]:
        """Return the difference of every metric to another model, by the paired bootstrap over images.

        Raises:
            ValueError: the other model has other metrics.
        """
        if self.names.tolist() != other.names.tolist():
            raise ValueError(f"Metrics {self.names.tolist()} and {other.names.tolist()} cannot be compared.")
        differences = zip(
            self.names.tolist(), self.values - other.values, self.drawn - other.drawn, strict=True
        )
        return {
            name: Difference(float(value), *interval(drawn), two_sided_p(drawn))
            for name, value, drawn in differences
        }


def _looked_up(packed: PackedRelevance, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the first images (m, k) each caption is true of, and of how many it is true (m,)."""
    right, rights = np.zeros(first.shape, bool), np.zeros(len(first), np.int64)
    for start in range(0, len(first), _ROWS):
        rows = slice(start, start + _ROWS)
        relevant = packed.by_caption[rows]
        right[rows] = np.take_along_axis(relevant, first[rows], axis=1)
        rights[rows] = relevant.sum(axis=1)
    return right, rights


def _exact(
    packed: PackedRelevance, images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray
) -> list[MetricSamples]:
    """Return mAP@R in both directions with all true items as relevant."""
    n = len(images)
    t2i, _ = precision_at_r(CosineSimilarity(texts, images), packed.by_caption)
    i2t, _ = precision_at_r(CosineSimilarity(images, texts), packed.by_image)
    return [
        QuerySet("exact", direction, rows, n).mean("map_at_r", values)
        for direction, rows, values in (("t2i", image_of_caption, t2i), ("i2t", np.arange(n), i2t))
    ]
