"""Other values of the attribute that a phrase names."""

import pytest

from itr_core.picturebook.alternatives import alternatives
from itr_core.picturebook.ontology import COLOURS, PLACES, TIMES


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        ("at night", "during the day", len(TIMES) - 1),
        ("night", "daytime", len(TIMES) - 1),
        ("on a beach", "in a meadow", len(PLACES) - 1),
        ("a red car", "an orange car", len(COLOURS) - 1),
        ("Sleeping", "standing", 10),
    ],
)
def test_the_fact_is_replaced_by_the_other_values_of_its_attribute(text: str, first: str, count: int) -> None:
    others = alternatives(text)
    assert others[0] == first
    assert len(others) == len(set(others)) == count
    assert text.lower() not in others


def test_a_kind_is_replaced_by_the_kinds_of_its_category() -> None:
    assert "with a dog" in alternatives("with a cat")
    assert "two dogs" in alternatives("two cats")
    assert not any("car" in text.split() for text in alternatives("with a cat"))


@pytest.mark.parametrize("text", ["", "brighter", "🦓", "(" * 500])
def test_texts_without_a_known_fact_have_no_alternative(text: str) -> None:
    assert alternatives(text) == []
