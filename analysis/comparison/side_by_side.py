"""The rankings of one query by several models, side by side."""

from collections.abc import Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """An item in the ranking of one model.

    Attributes:
        item: the item.
        rank: its rank, from 1.
        before: its rank in the ranking to the left; None if it is not in it, or in the first ranking.
        only: whether it is among the first k of this ranking only.
    """

    item: str
    rank: int
    before: int | None
    only: bool


def side_by_side(rankings: Sequence[Sequence[str]], k: int) -> list[list[Place]]:
    """Return the first k places of every ranking.

    Args:
        rankings: items of each model, best first, without repetitions. They may be longer than k: ranks in
            the ranking to the left are known as far as it goes.
        k: number of places.

    >>> [[place.before for place in column] for column in side_by_side([["a", "b"], ["b", "c"]], 2)]
    [[None, None], [2, None]]
    """
    firsts = [set(ranking[:k]) for ranking in rankings]
    ranks = [{item: rank for rank, item in enumerate(ranking, 1)} for ranking in rankings]
    columns = []
    for number, ranking in enumerate(rankings):
        before = ranks[number - 1] if number else {}
        others = set().union(*firsts[:number], *firsts[number + 1 :])
        columns.append(
            [
                Place(item, rank, before.get(item), len(rankings) > 1 and item not in others)
                for rank, item in enumerate(ranking[:k], 1)
            ]
        )
    return columns
