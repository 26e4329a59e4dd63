"""A metric with its values per query, from which intervals and comparisons are computed."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from itr_core.metrics.bootstrap import Difference, Statistic, interval, resampled, two_sided_p
from itr_core.metrics.precision import precision_at_r
from itr_core.metrics.recall import CUTOFFS
from itr_core.metrics.relevance import true_ranks
from itr_core.metrics.similarity import RelevanceRows, Rows


class Queries(NamedTuple):
    """Values of queries, (q,) or (q, c), and the row (q,) of the image of each among n_images."""

    values: np.ndarray
    image: np.ndarray
    n_images: int


@dataclass(frozen=True)
class MetricSamples:
    """A metric as a statistic of queries, summed over `parts`: one part, or for rSum the six recalls.

    `direction` is t2i, i2t, i2i or t2t, or empty if the metric has no direction.
    """

    protocol: str
    direction: str
    metric: str
    parts: tuple[Queries, ...] = field(repr=False)
    statistic: Statistic = field(default=np.mean, repr=False)

    @property
    def name(self) -> str:
        """Name with protocol and direction, unique for a model: t2i_r1, rsum, exact_t2i_map_at_r."""
        protocol = "" if self.protocol == "standard" else self.protocol
        return "_".join(filter(None, (protocol, self.direction, self.metric))).replace("-", "_")

    @property
    def value(self) -> float:
        """Value over all queries; NaN without queries."""
        return sum(float(self.statistic(part.values)) if len(part.values) else np.nan for part in self.parts)

    def bootstrap(self) -> np.ndarray:
        """Compute the value in every draw of images, (draws,); all metrics of a source use the same draws."""
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
    """The queries of a protocol in one direction, with the row (q,) of the image of each among n_images."""

    protocol: str
    direction: str
    image: np.ndarray
    n_images: int

    def mean(self, metric: str, values: np.ndarray) -> MetricSamples:
        """Return 100 times the mean of values (q,); queries with NaN (no correct item) are excluded."""
        valid = ~np.isnan(values)
        return MetricSamples(
            self.protocol,
            self.direction,
            metric,
            (Queries(100 * values[valid], self.image[valid], self.n_images),),
        )

    def recalls(self, similarity: Rows, relevant: RelevanceRows) -> list[MetricSamples]:
        """Return R@K over all relevant items; both arguments are (q, n_items)."""
        rank = true_ranks(similarity, relevant)
        return [self.mean(f"r{k}", np.where(np.isnan(rank), np.nan, rank <= k)) for k in CUTOFFS]

    def precisions(self, similarity: Rows, relevant: RelevanceRows) -> list[MetricSamples]:
        """Return mAP@R and R-Precision; both arguments are (q, n_items)."""
        ap, precision = precision_at_r(similarity, relevant)
        return [self.mean("map_at_r", ap), self.mean("r_precision", precision)]


def recalls(
    protocol: str, t2i: np.ndarray, i2t: np.ndarray, image_of_caption: np.ndarray
) -> list[MetricSamples]:
    """Return R@K in both directions, rSum and median ranks, from the results of `itr_core.metrics.ranks`."""
    captioned = np.flatnonzero(~np.isnan(i2t))
    directions = {"t2i": (t2i, image_of_caption), "i2t": (i2t[captioned], captioned)}
    hits = [
        QuerySet(protocol, direction, image, len(i2t)).mean(f"r{k}", (rank <= k).astype(float))
        for direction, (rank, image) in directions.items()
        for k in CUTOFFS
    ]
    total = MetricSamples(protocol, "", "rsum", tuple(part for each in hits for part in each.parts))
    medians = [
        MetricSamples(protocol, direction, "medr", (Queries(rank, image, len(i2t)),), np.median)
        for direction, (rank, image) in directions.items()
    ]
    return [*hits, total, *medians]
