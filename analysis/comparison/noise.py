"""The noise band: how much the rankings of two models differ that differ in their random seed only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.comparison.agreement import rank_biased_overlap
from analysis.query_length import buckets
from itr_core.vocabulary import word_count

RATE = 0.03
"""Share of queries for which two seeds are called different. Of 200 new queries, at most 10 (5 %) are then
called different with a probability of 96 % (binomial distribution)."""


@dataclass(frozen=True)
class NoiseBand:
    """Agreement below which two models differ more on a query than two seeds of one method.

    The agreement is the rank-biased overlap of the first ranks (`analysis.comparison.agreement`). Its limit
    is a conformal quantile over queries of similar length, because rankings of short queries, which are true
    of many images, agree less. For a new query of the same distribution, the probability that two seeds fall
    below the limit is at most `RATE`.

    Attributes:
        words: (b,) smallest number of words of the queries of each group, ascending.
        limits: (b,) limit of each group, in [0, 1].

    References:
        Vovk, Conditional Validity of Inductive Conformal Predictors, ACML 2012 (one quantile per group).
    """

    words: np.ndarray
    limits: np.ndarray

    @classmethod
    def of(
        cls, first: np.ndarray, second: np.ndarray, queries: Sequence[str], rate: float = RATE
    ) -> "NoiseBand":
        """Compute the band from the rankings of two models that differ in their seed only.

        Args:
            first: (q, k) items that one model ranks first, best first.
            second: (q, k) items that the other model ranks first.
            queries: q texts, the more the better; a group of fewer than 1/rate queries has the limit 0, by
                which no query is called different.
            rate: share of queries to call different, in (0, 1).

        Raises:
            ValueError: no query, or shapes that differ.
        """
        agreement = rank_biased_overlap(first, second)
        if not len(agreement) == len(queries) > 0:
            raise ValueError(f"{len(agreement)} rankings for {len(queries)} queries; expected one for each.")
        groups = [rows for _, rows in buckets(queries)]
        words = [min(word_count(queries[row]) for row in rows.tolist()) for rows in groups]
        return cls(np.array(words), np.array([_limit(agreement[rows], rate) for rows in groups]))

    def limit(self, query: str) -> float:
        """Return the smallest agreement on a query that is explained by the seed."""
        group = int(np.searchsorted(self.words, word_count(query), side="right")) - 1
        return float(self.limits[max(0, group)])

    def differs(self, query: str, agreement: float) -> bool:
        """Return whether models that agree this much on the query differ more than two seeds."""
        return agreement < self.limit(query)


def _limit(agreement: np.ndarray, rate: float) -> float:
    """Return the floor(rate (q + 1))-th smallest agreement; 0 if that is none."""
    order = int(rate * (len(agreement) + 1))
    return float(np.sort(agreement)[order - 1]) if order else 0.0
