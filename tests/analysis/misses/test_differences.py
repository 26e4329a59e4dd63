"""Differences of captions and scenes, on one scene by hand and on Picturebook against entailment."""

import numpy as np
import pytest

from analysis.lexicon import content
from analysis.misses.differences import CAUSES, Difference, difference_by_text, difference_by_truth
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.edits import edits_of
from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.semantics import Meaning, Relation, SceneFacts, Variable, entails
from itr_core.picturebook.splits import scene_of


def thing(
    kind: str,
    colour: str | None,
    x: float,
    *,
    pattern: str = "plain",
    size: str = "medium",
    state: str | None = None,
) -> Thing:
    return Thing(kind=kind, colour=colour, pattern=pattern, size=size, state=state, x=x, y=0.8)


SCENE = Scene(
    place="farm",
    time="day",
    weather="clear",
    things=(
        thing("dog", "brown", 0.1, state="standing"),
        thing("dog", "white", 0.3, state="sleeping", pattern="spotted"),
        thing("cow", "white", 0.6, size="big", state="lying"),
        thing("car", "blue", 0.9),
    ),
    seed=0,
)
DOG, COW, CAR = (Variable(kind) for kind in ("dog", "cow", "car"))


@pytest.mark.parametrize(
    ("meaning", "difference"),
    [
        (Meaning((DOG, COW), (Relation("left of", 0, 1),), "farm", "day", "clear"), None),
        (Meaning((Variable("cat"),)), ("object", "cat", "dog")),  # both are pets
        (Meaning((DOG, Variable("cat"))), ("object", "cat", "cow")),  # the caption already mentions the dogs
        (Meaning((Variable("boat"),)), ("object", "boat", "car")),
        (Meaning((Variable("apple"),)), ("object", "apple", "")),
        (Meaning((Variable("plant"),), place="beach"), ("object", "plant", "")),
        (Meaning((Variable("car", colour="red"),)), ("colour", "red", "blue")),
        (Meaning((Variable("dog", colour="brown", state="sleeping"),)), ("state", "sleeping", "standing")),
        (Meaning((Variable("dog", colour="black", pattern="spotted"),)), ("colour", "black", "white")),
        (Meaning((Variable("cow", size="small"),), time="night"), ("size", "small", "big")),
        (Meaning((Variable("dog", least=3, most=3),), place="beach"), ("count", "three", "two")),
        (Meaning((Variable("car", least=2),)), ("count", "several", "one")),
        (Meaning((Variable("dog", "brown", least=2, most=2),)), ("count", "two", "one")),
        (Meaning((CAR, CAR)), ("count", "another car", "one")),
        (Meaning((CAR,), place="beach", time="night"), ("place", "beach", "farm")),
        (Meaning((CAR,), weather="rain"), ("weather", "rain", "clear")),
        (Meaning((CAR, COW), (Relation("left of", 0, 1),)), ("relation", "left of", "right of")),
        (Meaning((DOG, COW), (Relation("above", 0, 1),)), ("relation", "above", "left of")),
    ],
)
def test_the_most_severe_part_that_is_false(
    meaning: Meaning, difference: tuple[str, str, str] | None
) -> None:
    assert difference_by_truth(SceneFacts(SCENE), meaning) == difference


def test_on_picturebook_differences_agree_with_entailment() -> None:
    """There is a difference if and only if the meaning is false, and what it calls depicted is true."""
    scenes = [scene_of("val", index) for index in range(40)]
    seen = set()
    for scene in scenes:
        facts = SceneFacts(scene)
        for other in scenes:
            for caption in captions_of(other):
                found = difference_by_truth(facts, caption.meaning)
                assert (found is None) == entails(scene, caption.meaning)
                if found is None:
                    continue
                seen.add(found.concept)
                assert found.captioned != found.depicted
                if found.concept in ("place", "time", "weather"):
                    assert getattr(scene, found.concept) == found.depicted
                    assert entails(scene, Meaning(caption.meaning.things))
                if found.concept == "object":
                    assert not entails(scene, Meaning((Variable(found.captioned),)))
                    assert not found.depicted or entails(scene, Meaning((Variable(found.depicted),)))
    assert seen | {"relation"} == CAUSES.keys()  # scenes hardly ever differ in a relation alone


def test_known_edits_are_recognised() -> None:
    """An edit of an attribute counts as recognised by any attribute."""
    kinds = {
        "swap attribute": "wrong attribute",
        "swap object": "wrong object",
        "change count": "wrong count",
        "swap relation": "wrong relation",
    }
    right = dict.fromkeys(kinds, 0)
    total = dict.fromkeys(kinds, 0)
    for index in range(200):
        scene = scene_of("val", index)
        for edit in edits_of(scene, np.random.default_rng(index)):
            if edit.name in kinds:
                found = difference_by_truth(SceneFacts(scene), edit.after.meaning)
                assert found is not None
                total[edit.name] += 1
                right[edit.name] += CAUSES[found.concept] == kinds[edit.name]
    shares = {name: right[name] / total[name] for name in kinds}
    # The swapped-in object may be in the scene, in another colour or number: then that is the difference.
    assert shares["change count"] == shares["swap relation"] == 1
    assert shares["swap attribute"] > 0.9
    assert shares["swap object"] > 0.8


@pytest.mark.parametrize(
    ("caption", "image", "difference"),
    [
        ("a dog on a beach", ["a cat in a kitchen"], ("object", "dog", "")),
        ("a red car", ["The BLUE cars are parked", "a street"], ("colour", "red", "blue")),
        ("a gray car", ["a grey car in a street"], None),
        ("two dogs run", ["three dogs", "dogs running"], ("count", "two", "three")),
        ("a tiny dog", ["a large dog"], ("size", "small", "big")),
        ("a dog at night", ["a dog in daylight"], ("time", "night", "day")),
        ("a dog left of a cat", ["a dog to the right of a cat"], ("relation", "left", "right")),
        ("a red car", ["a car"], None),  # the colour of the car is not mentioned
        ("a man with a hat", ["a man"], ("object", "hat", "")),
        ("it is", ["a man"], None),
        ("a man", [], ("object", "man", "")),
    ],
)
def test_difference_by_text(caption: str, image: list[str], difference: tuple[str, str, str] | None) -> None:
    assert difference_by_text(content(caption), [content(each) for each in image]) == difference


def test_a_difference_as_text() -> None:
    assert str(Difference("colour", "red", "blue")) == "colour: red -> blue"
    assert str(Difference("object", "dog", "")) == "object: dog -> ?"
