"""Statements about a picture: they are true, their contrasts are false and differ in one fact."""

from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.semantics import entails
from itr_core.picturebook.statements import MOST_RELATIONS, statements

DOG = Thing("dog", "brown", "plain", "medium", "standing", 0.3, 0.85)
CAR = Thing("car", "red", "plain", "medium", None, 0.72, 0.85)


def test_statements_are_true_and_contrasts_are_false(scenes: list[Scene]) -> None:
    for scene in scenes[:200]:
        found = statements(scene)
        groups = len({thing.look for thing in scene.things})
        assert 1 + groups <= len(found) <= 1 + groups + MOST_RELATIONS
        for each in found:
            assert entails(scene, each.caption.meaning)
            for group in each.contrasts:
                assert group
                assert not any(entails(scene, caption.meaning) for caption in group)


def test_one_statement_per_fact() -> None:
    found = statements(Scene("street", "night", "rain", (DOG, CAR)))
    assert [each.caption.text for each in found] == [
        "on a city street at night in rainy weather",
        "a brown dog standing",
        "a red car",
        "a dog to the left of a car",
    ]
    by_text = {each.caption.text: [[c.text for c in group] for group in each.contrasts] for each in found}
    numbers, colours = by_text["a red car"]
    assert numbers == ["two red cars", "three red cars", "four red cars"]
    assert "a blue car" in colours
    (relations,) = by_text["a dog to the left of a car"]
    assert "a car to the left of a dog" in relations


def test_a_number_is_stated_only_if_no_other_thing_fits_the_description() -> None:
    small = Thing("dog", "brown", "plain", "small", "standing", 0.85, 0.9)
    two = (DOG, Thing("dog", "brown", "plain", "medium", "standing", 0.6, 0.85), small)
    texts = [each.caption.text for each in statements(Scene("street", "day", "clear", two))]
    assert "a brown dog standing" in texts
    assert "a small brown dog standing" in texts
