"""Title, unit, range, direction, definition and source of every metric that `evaluate` reports."""

from dataclasses import dataclass
from typing import Literal

_QUERIES = {"t2i": "captions", "i2t": "images", "t2t": "captions", "i2i": "images"}
_ITEM = {"t2i": "image", "i2t": "caption", "t2t": "caption", "i2i": "image"}


@dataclass(frozen=True)
class Metric:
    """How to read a metric.

    Attributes:
        name: key in JSON and CSV; unique in its catalogue.
        title: name for people.
        unit: "%" for shares of 100, else what is counted, or "" for a pure number.
        range: smallest and largest possible value; None where there is no bound.
        better: "higher", "lower", or "" where neither is better by itself.
        definition: one or two sentences about queries and relevant items, in either direction.
        source: the paper that defines the metric, or "" for a common one.
    """

    name: str
    title: str
    unit: str
    range: tuple[float | None, float | None]
    better: Literal["higher", "lower", ""]
    definition: str
    source: str = ""

    def title_in(self, direction: str) -> str:
        """Return the title with the direction: "t2i", "i2t", "t2t", "i2i", or "" for none.

        >>> METRICS["r1"].title_in("t2i")
        'T2I R@1'
        """
        return f"{direction.upper()} {self.title}".strip()

    def definition_in(self, direction: str) -> str:
        """Return the definition with the queries and items of one direction, as in `title_in`.

        >>> METRICS["r1"].definition_in("t2i")
        'Percentage of captions with a relevant image at rank 1.'
        """
        queries, item = _QUERIES.get(direction, "queries"), _ITEM.get(direction, "item")
        return self.definition.replace("queries", queries).replace("relevant item", f"relevant {item}")


_JAIR = "Hodosh, Young & Hockenmaier, JAIR 47, 2013"
_ECCV = "Musgrave et al., ECCV 2020, arXiv:2003.08505; Chun et al., ECCV Caption, ECCV 2022, arXiv:2204.03359"
_CRCGS = "CRCGS, SIGIR 2022"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "r1",
            "R@1",
            "%",
            (0, 100),
            "higher",
            "Percentage of queries with a relevant item at rank 1.",
            _JAIR,
        ),
        Metric(
            "r5",
            "R@5",
            "%",
            (0, 100),
            "higher",
            "Percentage of queries with a relevant item at ranks 1 to 5.",
            _JAIR,
        ),
        Metric(
            "r10",
            "R@10",
            "%",
            (0, 100),
            "higher",
            "Percentage of queries with a relevant item at ranks 1 to 10.",
            _JAIR,
        ),
        Metric("rsum", "rSum", "", (0, 600), "higher", "Sum of R@1, R@5 and R@10 of T2I and I2T."),
        Metric(
            "medr",
            "median rank",
            "rank",
            (1, None),
            "lower",
            "Median, over queries, of the rank of the best relevant item.",
            _JAIR,
        ),
        Metric(
            "map_at_r",
            "mAP@R",
            "%",
            (0, 100),
            "higher",
            "With R the number of relevant items of a query: the sum, over the relevant items among the "
            "first R results, of the precision at their ranks, divided by R. Mean over queries.",
            _ECCV,
        ),
        Metric(
            "r_precision",
            "R-Precision",
            "%",
            (0, 100),
            "higher",
            "With R the number of relevant items of a query: the share of relevant items among the first R "
            "results. Mean over queries.",
            _ECCV,
        ),
        Metric(
            "ndcg10",
            "nDCG@10",
            "%",
            (0, 100),
            "higher",
            "Discounted cumulative gain of the first 10 results, divided by that of the best possible order. "
            "The gain of a caption and an image is the share of the image's facts that the caption states, "
            "and 0 if the caption is false. Mean over queries.",
            "Järvelin & Kekäläinen, TOIS 20, 2002",
        ),
        Metric(
            "false_negatives",
            "false negatives",
            "%",
            (0, 100),
            "",
            "Percentage of queries whose first result is relevant but not annotated, among the queries whose "
            "first result is not annotated: the share of misses at rank 1 that are no errors of the model.",
        ),
        Metric(
            "unannotated_first_answers",
            "unannotated first answers",
            "%",
            (0, 100),
            "",
            "Percentage of queries whose first result is relevant but not annotated, among all queries.",
        ),
        Metric(
            "map_at_n_query",
            "mAP@n_query",
            "%",
            (0, 100),
            "higher",
            "Mean average precision where items are relevant if they share a label with the query. Only the "
            "first n_query results count, n_query being the number of queries.",
            _CRCGS,
        ),
        Metric(
            "map_at_all",
            "mAP@all",
            "%",
            (0, 100),
            "higher",
            "Mean average precision where items are relevant if they share a label with the query, over the "
            "whole ranking.",
            _CRCGS,
        ),
        Metric(
            "spearman",
            "Spearman",
            "",
            (-1, 1),
            "higher",
            "Spearman's rank correlation of the cosine with a judgment: the mean grade of experts (protocol "
            "judgments), the score of a pair of texts (sts), or, for a pair of captions, the number of "
            "images that both are true of divided by the number that either is true of (uni-modal).",
        ),
        Metric(
            "accuracy",
            "accuracy",
            "%",
            (0, 100),
            "higher",
            "Among pairs of captions of one image with different expert grades: the percentage in which the "
            "better caption has the higher cosine. Ties count half; 50 is chance.",
            _JAIR,
        ),
    )
}
"""Name -> metric, in the order of documentation."""


def metric_of(name: str) -> tuple[Metric, str]:
    """Return the metric and the direction of a name such as "t2i_r1" or "rsum" (direction "").

    Raises:
        KeyError: no such metric.

    >>> metric, direction = metric_of("i2t_medr")
    >>> metric.title_in(direction)
    'I2T median rank'
    """
    direction, _, metric = name.partition("_")
    return (METRICS[metric], direction) if direction in _QUERIES else (METRICS[name], "")


def title_of(name: str) -> str:
    """Return the title of a metric with its direction.

    >>> title_of("t2i_r1")
    'T2I R@1'
    """
    metric, direction = metric_of(name)
    return metric.title_in(direction)
