"""Edits of scenes: the result keeps the rules, changes what was asked for, and other edits say why not."""

from dataclasses import replace

import pytest

from itr_core.picturebook import scene_edits
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.scene_code import decode, encode
from itr_core.picturebook.scene_rules import SceneError, check
from itr_core.picturebook.semantics import entails
from itr_core.picturebook.splits import scene_of
from tests.picturebook.random_edits import edited_scenes

DOG = Thing("dog", "brown", "plain", "medium", "standing", 0.3, 0.85)
CAR = Thing("car", "red", "plain", "medium", None, 0.72, 0.85)
STREET = Scene("street", "day", "clear", (DOG, CAR))
SOFA = Thing("sofa", "red", "plain", "medium", None, 0.4, 0.85)
CAT = Thing("cat", "grey", "plain", "medium", "sleeping", 0.8, 0.85)
ROOM = Scene("living room", "day", "clear", (CAT, SOFA))


def on_sofa() -> Scene:
    return scene_edits.stand(ROOM, 0, 1)


def test_random_edits_keep_the_rules_and_the_text_restores_each() -> None:
    for _, scene in edited_scenes(250):
        check(scene)
        assert decode(encode(scene)) == scene
        assert all(entails(scene, caption.meaning) for caption in captions_of(scene))


def test_a_thing_is_moved_to_a_height_where_it_can_be_and_inside_the_picture() -> None:
    moved = scene_edits.move(STREET, 0, 0.4, 0.9).things[0]
    assert (moved.x, moved.y) == (0.4, 0.9)
    to_the_sky = scene_edits.move(STREET, 0, -3.0, 0.0).things[0]
    assert to_the_sky.y == 0.72  # where the street begins
    assert 0 < to_the_sky.x < 0.2


def test_a_move_that_hides_a_thing_is_refused() -> None:
    with pytest.raises(SceneError, match="would hide too much of each other"):
        scene_edits.move(STREET, 0, 0.72, 0.86)


def test_a_thing_stands_on_what_can_hold_it_and_moves_with_it() -> None:
    cat, sofa = on_sofa().things
    assert cat.on == 1
    dropped = scene_edits.move(ROOM, 0, 0.42, cat.y + 0.01)
    assert dropped.things[0].on == 1
    moved = scene_edits.move(on_sofa(), 1, 0.6, 0.9)
    assert moved.things[0].on == 1
    assert moved.things[0].x - cat.x == pytest.approx(moved.things[1].x - sofa.x)
    assert moved.things[0].y > cat.y
    assert scene_edits.stand(moved, 0, None).things[0].on is None
    with pytest.raises(SceneError, match="cannot hold"):
        scene_edits.stand(STREET, 0, 1)


def test_what_stood_on_a_removed_thing_stands_on_the_floor() -> None:
    (cat,) = scene_edits.remove(on_sofa(), 1).things
    assert cat == replace(CAT, x=cat.x, y=cat.y)
    with pytest.raises(SceneError, match="at least one thing"):
        scene_edits.remove(replace(ROOM, things=(CAT,)), 0)


def test_holders_keep_their_number_when_a_thing_before_them_is_removed() -> None:
    scene = replace(ROOM, things=(Thing("ball", "red", "plain", "medium", None, 0.9, 0.93), *on_sofa_from(1)))
    check(scene)
    cat, sofa = scene_edits.remove(scene, 0).things
    assert (cat.kind, cat.on, sofa.kind) == ("cat", 1, "sofa")


def on_sofa_from(first: int) -> tuple[Thing, ...]:
    cat, sofa = on_sofa().things
    return replace(cat, on=1 + first), sofa


def test_an_added_thing_has_the_usual_look_of_its_kind() -> None:
    added = scene_edits.add(STREET, "cat").things[2]
    assert (added.colour, added.pattern, added.size, added.state) == ("orange", "plain", "medium", "sitting")
    with pytest.raises(SceneError, match="On a city street there is never a whale"):
        scene_edits.add(STREET, "whale")
    full = scene_of("gallery", 0)
    assert len(full.things) == 6
    with pytest.raises(SceneError, match="at most 6 things"):
        scene_edits.add(full, "pig")


def test_attributes_change_one_thing_only() -> None:
    changed = scene_edits.change(STREET, 0, "colour", "black")
    assert changed.things == (replace(DOG, colour="black"), CAR)
    with pytest.raises(SceneError, match="colour of a dog is never 'green'"):
        scene_edits.change(STREET, 0, "colour", "green")
    with pytest.raises(SceneError, match="has no 'kind'"):
        scene_edits.change(STREET, 0, "kind", "cat")


def test_a_larger_thing_makes_room_for_itself() -> None:
    beside = scene_edits.move(STREET, 0, 0.38, 0.85)
    with pytest.raises(SceneError):
        check(replace(beside, things=(replace(beside.things[0], size="big"), CAR)))
    assert scene_edits.change(beside, 0, "size", "big").things[0].size == "big"


def test_another_state_can_need_another_place_in_the_picture() -> None:
    gull = Thing("seagull", None, "plain", "medium", "standing", 0.5, 0.85)
    flying = scene_edits.change(Scene("beach", "day", "clear", (gull,)), 0, "state", "flying")
    assert flying.things[0].in_sky


def test_the_number_of_equal_things_changes() -> None:
    three = scene_edits.count(STREET, 0, 3)
    assert [thing.kind for thing in three.things] == ["dog", "car", "dog", "dog"]
    assert scene_edits.count(three, 2, 1).things == (CAR, three.things[2])
    for number in (0, 5):
        with pytest.raises(SceneError, match="1 to 4 equal things"):
            scene_edits.count(STREET, 0, number)


def test_another_place_keeps_what_occurs_there() -> None:
    farm = Scene("farm", "day", "snow", (DOG, Thing("pig", "pink", "plain", "medium", "standing", 0.7, 0.8)))
    beach, removed = scene_edits.set_setting(farm, "place", "beach")
    assert (beach.place, beach.weather, removed) == ("beach", "clear", ["the pink pig"])
    assert [thing.kind for thing in beach.things] == ["dog"]
    sea, removed = scene_edits.set_setting(farm, "place", "sea")
    assert (len(sea.things), len(removed)) == (1, 2)
    with pytest.raises(SceneError, match="On a beach the weather is never snow"):
        scene_edits.set_setting(beach, "weather", "snow")
    with pytest.raises(SceneError, match="no place 'moon'"):
        scene_edits.set_setting(beach, "place", "moon")
    with pytest.raises(SceneError, match="has no 'seed'"):
        scene_edits.set_setting(beach, "seed", "1")


def test_a_thing_that_does_not_exist_is_named() -> None:
    for edit in (scene_edits.remove, scene_edits.turn):
        for index in (-1, 2):
            with pytest.raises(SceneError, match=f"no thing {index}"):
                edit(STREET, index)
