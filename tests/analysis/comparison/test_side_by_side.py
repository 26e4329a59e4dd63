"""Places in rankings side by side."""

from hypothesis import given
from hypothesis import strategies as st

from analysis.comparison.side_by_side import Place, side_by_side


def test_places_know_the_rank_to_the_left_and_what_only_one_model_found() -> None:
    first, second = side_by_side([["a", "b", "c", "d"], ["c", "a", "x", "b"]], 3)
    assert first == [Place("a", 1, None, False), Place("b", 2, None, True), Place("c", 3, None, False)]
    assert second == [Place("c", 1, 3, False), Place("a", 2, 1, False), Place("x", 3, None, True)]


def test_ranks_beyond_the_shown_ones_are_known() -> None:
    _, second = side_by_side([["a", "b", "c"], ["c", "a", "b"]], 1)
    assert second == [Place("c", 1, 3, True)]


def test_one_ranking_alone_finds_nothing_only() -> None:
    assert side_by_side([["a"]], 5) == [[Place("a", 1, None, False)]]


@given(st.lists(st.permutations("abcdef"), min_size=2, max_size=6), st.integers(1, 6))
def test_only_this_model_means_that_no_other_column_shows_it(rankings: list[list[str]], k: int) -> None:
    columns = side_by_side(rankings, k)
    for number, column in enumerate(columns):
        others = {place.item for other in columns[:number] + columns[number + 1 :] for place in other}
        assert all(place.only == (place.item not in others) for place in column)
