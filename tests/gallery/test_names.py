"""Galleries of the same name get numbers."""

import pytest

from itr_core.gallery.names import unique_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["a", "a", "b", "a"], ["a", "a (2)", "b", "a (3)"]),
        (["a (2)", "a", "a"], ["a (2)", "a", "a (3)"]),
        (["a", "a", "a (2)"], ["a", "a (2)", "a (2) (2)"]),
    ],
)
def test_repeated_names_are_numbered_and_all_are_different(names: list[str], expected: list[str]) -> None:
    assert unique_names(names) == expected
