"""The world's data hangs together."""

from collections import Counter

import pytest

from itr_core.picturebook.ontology import (
    COLOURS,
    KINDS,
    NOUNS,
    PLACES,
    RELATIONS,
    SIZES,
    STATES,
    TIMES,
    WEATHERS,
    Kind,
)  # fmt: skip
from itr_core.picturebook.sampling import stances
from itr_core.picturebook.wording import MASS, plural


def test_the_world_is_large_enough() -> None:
    assert len(KINDS) >= 60
    assert len({kind.category for kind in KINDS.values()}) >= 8
    assert len(PLACES) >= 12
    assert {"day", "sunset", "night"} == set(TIMES)
    assert {"clear", "cloudy", "rain", "snow"} == set(WEATHERS)
    assert len(RELATIONS) == 8


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_refers_to_what_there_is(kind: Kind) -> None:
    assert set(kind.places) <= set(PLACES)
    assert set(kind.colours) <= set(COLOURS)
    assert set(kind.patterns) <= {"plain", "striped", "spotted"}
    assert set(kind.states) <= set(STATES)
    assert set(kind.holds) <= set(KINDS)
    assert bool(kind.holds) == (kind.seat > 0)
    assert 0 < kind.height * max(SIZES.values()) < 0.8
    assert kind.is_a[0] == kind.name
    assert len(set(kind.is_a)) == len(kind.is_a)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_has_somewhere_to_stand_in_all_its_places(kind: Kind) -> None:
    for place in kind.places:
        assert stances(kind, PLACES[place])


def test_no_word_means_two_things() -> None:
    words = Counter(word for names in NOUNS.values() for word in names)
    assert [word for word, number in words.items() if number > 1] == []
    plurals = Counter(plural(word) for word in words if word not in MASS)
    assert [word for word, number in plurals.items() if number > 1] == []


def test_weather_is_told_by_what_is_seen() -> None:
    for place in PLACES.values():
        assert set(place.weathers) <= set(WEATHERS)
        assert ("floor" in place.bands) == place.indoors
    for weather in WEATHERS.values():
        assert not any("outside" in words or "window" in words for words in weather["words"])
        assert not any(" day" in words for words in weather["words"] + weather["indoors"])
