"""The rules of scenes: sampled scenes keep them, and a broken rule is named."""

from dataclasses import replace

import pytest

from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.scene_rules import SceneError, check, name_of

DOG = Thing("dog", "brown", "plain", "medium", "standing", 0.3, 0.85)
CAR = Thing("car", "red", "plain", "medium", None, 0.72, 0.85)
STREET = Scene("street", "day", "clear", (DOG, CAR))
ROOM = Scene(
    "living room", "day", "clear",
    (
        Thing("cat", "grey", "plain", "medium", "sleeping", 0.4, 0.7, on=1),
        Thing("sofa", "red", "plain", "medium", None, 0.4, 0.85),
    ),
)  # fmt: skip


def test_sampled_scenes_keep_the_rules(scenes: list[Scene]) -> None:
    for scene in scenes:
        check(scene)


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (replace(STREET, place="moon"), "There is no place 'moon'"),
        (replace(STREET, time="noon"), "There is no time of day 'noon'"),
        (replace(STREET, weather="hail"), "There is no weather 'hail'"),
        (replace(STREET, place="desert", weather="snow"), "In a desert the weather is never snow"),
        (replace(STREET, seed=-1), "The seed -1"),
        (replace(STREET, things=()), "1 to 6 things, not 0"),
        (replace(STREET, things=(DOG,) * 7), "1 to 6 things, not 7"),
        (replace(STREET, things=(DOG,) * 5), "at most 4 equal things, not 5"),
        (replace(STREET, things=(replace(DOG, kind="unicorn"),)), "no kind of thing 'unicorn'"),
        (replace(STREET, things=(replace(DOG, kind="whale"),)), "there is never a whale"),
        (replace(STREET, things=(replace(DOG, colour="green"),)), "colour of a dog is never 'green'"),
        (replace(STREET, things=(replace(DOG, pattern="striped"),)), "pattern of a dog is never 'striped'"),
        (replace(STREET, things=(replace(DOG, size="huge"),)), "size of a dog is never 'huge'"),
        (replace(STREET, things=(replace(DOG, state="flying"),)), "state of a dog is never 'flying'"),
        (replace(STREET, things=(replace(DOG, y=0.3),)), "cannot be at this height"),
        (replace(STREET, things=(replace(DOG, x=0.02),)), "would reach out of the picture"),
        (replace(STREET, things=(DOG, replace(CAR, x=0.4))), "the brown dog would hide too much"),
        (replace(STREET, things=(DOG, replace(DOG, x=0.35))), "and another one would hide too much"),
        (replace(STREET, things=(replace(DOG, on=1), CAR)), "something that cannot hold it"),
        (replace(STREET, things=(replace(DOG, on=9), CAR)), "something that cannot hold it"),
        (replace(ROOM, things=(replace(ROOM.things[0], y=0.6), ROOM.things[1])), "not at the height where"),
        (replace(ROOM, things=(replace(ROOM.things[0], x=0.1), ROOM.things[1])), "no room for the grey cat"),
    ],
)  # fmt: skip
def test_the_first_broken_rule_is_named(scene: Scene, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        check(scene)


def test_a_thing_may_come_before_the_one_it_stands_on() -> None:
    check(ROOM)


def test_names_of_things_have_their_colour() -> None:
    assert name_of(DOG) == "the brown dog"
    assert name_of(Thing("man", "blue", "plain", "medium", "standing", 0.5, 0.9)) == "the man in blue"
    assert name_of(Thing("rainbow", None, "plain", "medium", None, 0.5, 0.2)) == "the rainbow"
