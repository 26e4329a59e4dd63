"""A figure with the queries behind it: what an interval, or a comparison of two models, is made of."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from itr_core.metrics.bootstrap import Difference, Statistic, interval, resampled, two_sided_p
from itr_core.metrics.precision import precision_at_r
from itr_core.metrics.recall import CUTOFFS
from itr_core.metrics.relevance import true_ranks
from itr_core.metrics.similarity import RelevanceRows, Rows


class Queries(NamedTuple):
    """Values (q,) or (q, c) of queries, and the row (q,) of each one's image among n_images."""

    values: np.ndarray
    image: np.ndarray
    n_images: int


@dataclass(frozen=True)
class MetricSamples:
    """A statistic of queries, summed over `parts`: one, or for rSum its six recalls.

    `direction` is t2i, i2t, i2i or t2t; empty where that does not apply.
    """

    protocol: str
    direction: str
    metric: str
    parts: tuple[Queries, ...] = field(repr=False)
    statistic: Statistic = field(default=np.mean, repr=False)

    @property
    def name(self) -> str:
        """Unique among the figures of a model: t2i_r1, rsum, exact_t2i_map_at_r."""
        protocol = "" if self.protocol == "standard" else self.protocol
        return "_".join(filter(None, (protocol, self.direction, self.metric))).replace("-", "_")

    @property
    def value(self) -> float:
        """What all queries give together; NaN where there are none."""
        return sum(float(self.statistic(part.values)) if len(part.values) else np.nan for part in self.parts)

    def bootstrap(self) -> np.ndarray:
        """The value in every draw of images (draws,); all figures of a source see the same draws."""
        return np.sum([resampled(*part, self.statistic) for part in self.parts], axis=0)

    def minus(self, other: "MetricSamples") -> Difference:
        """Compare with another model by the paired bootstrap: both see the same draws of images.

        Args:
            other: the same metric of the other model on the same source.

        Raises:
            ValueError: another metric, or a source with another number of images.
        """
        if self.name != other.name or {p.n_images for p in self.parts} != {p.n_images for p in other.parts}:
            raise ValueError(
                f"{self.name} of {self.parts[0].n_images} images and {other.name} of "
                f"{other.parts[0].n_images} images cannot be compared."
            )
        drawn = self.bootstrap() - other.bootstrap()
        return Difference(self.value - other.value, *interval(drawn), two_sided_p(drawn))


@dataclass(frozen=True)
class QuerySet:
    """The queries of one protocol in one way: the row (q,) of each one's image among n_images."""

    protocol: str
    direction: str
    image: np.ndarray
    n_images: int

    def mean(self, metric: str, values: np.ndarray) -> MetricSamples:
        """The mean of values (q,), times 100; NaN stands for a query without a right answer, left out."""
        some = ~np.isnan(values)
        return MetricSamples(
            self.protocol,
            self.direction,
            metric,
            (Queries(100 * values[some], self.image[some], self.n_images),),
        )

    def recalls(self, similarity: Rows, relevant: RelevanceRows) -> list[MetricSamples]:
        """R@K over all that is right; both arguments are (q, n_items)."""
        rank = true_ranks(similarity, relevant)
        return [self.mean(f"r{k}", np.where(np.isnan(rank), np.nan, rank <= k)) for k in CUTOFFS]

    def precisions(self, similarity: Rows, relevant: RelevanceRows) -> list[MetricSamples]:
        """mAP@R and R-Precision; both arguments are (q, n_items)."""
        ap, precision = precision_at_r(similarity, relevant)
        return [self.mean("map_at_r", ap), self.mean("r_precision", precision)]


def recalls(
    protocol: str, t2i: np.ndarray, i2t: np.ndarray, image_of_caption: np.ndarray
) -> list[MetricSamples]:
    """R@K both ways, rSum and median ranks of what `itr_core.metrics.ranks` returns."""
    asked = np.flatnonzero(~np.isnan(i2t))
    ways = {"t2i": (t2i, image_of_caption), "i2t": (i2t[asked], asked)}
    hits = [
        QuerySet(protocol, direction, image, len(i2t)).mean(f"r{k}", (rank <= k).astype(float))
        for direction, (rank, image) in ways.items()
        for k in CUTOFFS
    ]
    total = MetricSamples(protocol, "", "rsum", tuple(part for each in hits for part in each.parts))
    medians = [
        MetricSamples(protocol, direction, "medr", (Queries(rank, image, len(i2t)),), np.median)
        for direction, (rank, image) in ways.items()
    ]
    return [*hits, total, *medians]
