"""Sampled scenes: natural, recognisable, long-tailed, and the same everywhere."""

from collections import Counter

import numpy as np

from itr_core.picturebook.ontology import KINDS, PLACES, SIZES
from itr_core.picturebook.sampling import MAX_THINGS, sample_scene
from itr_core.picturebook.scene import Scene, box, depth, nearness


def test_every_thing_belongs_where_it_is(scenes: list[Scene]) -> None:
    for scene in scenes:
        place = PLACES[scene.place]
        assert scene.weather in place.weathers
        for thing in scene.things:
            kind = KINDS[thing.kind]
            assert scene.place in kind.places
            assert (thing.colour in kind.colours) if kind.colours else thing.colour is None
            assert (thing.state in kind.states) if kind.states else thing.state is None
            assert thing.pattern in kind.patterns
            if thing.on is not None:
                assert thing.kind in KINDS[scene.things[thing.on].kind].holds
                assert thing.state not in ("running", "walking")
            else:
                assert any(far <= thing.y <= near for far, near in place.bands.values())
                assert (thing.state == "flying") <= thing.in_sky
                assert (thing.state in ("swimming", "jumping")) <= (
                    place.bands.get("water", (1, 1))[0] <= thing.y <= place.bands.get("water", (0, 0))[1]
                )


def test_things_are_in_the_picture_and_recognisable(scenes: list[Scene]) -> None:
    for scene in scenes:
        things = scene.things
        boxes = [box(thing, things) for thing in things]
        for i, (left, top, right, bottom) in enumerate(boxes):
            assert left >= -1e-3
            assert top >= 0
            assert right <= 1 + 1e-3
            assert bottom <= 1
            for j, other in enumerate(boxes):
                nearer = nearness(things[j], things) > nearness(things[i], things)
                if i != j and nearer and things[j].on != i:
                    wide = max(0.0, min(right, other[2]) - max(left, other[0]))
                    high = max(0.0, min(bottom, other[3]) - max(top, other[1]))
                    assert wide * high <= 0.2501 * (right - left) * (bottom - top)


def test_a_thing_stands_on_the_seat_of_what_holds_it(scenes: list[Scene]) -> None:
    held = [(scene, thing) for scene in scenes for thing in scene.things if thing.on is not None]
    assert len(held) >= 10
    for scene, thing in held:
        assert thing.on is not None
        holder = scene.things[thing.on]
        left, top, right, bottom = box(holder, scene.things)
        assert left - 1e-3 <= box(thing, scene.things)[0] < box(thing, scene.things)[2] <= right + 1e-3
        assert abs(thing.y - (bottom - KINDS[holder.kind].seat * (bottom - top))) < 1e-3


def test_sizes_stay_apart_at_every_depth() -> None:
    nearest, furthest = depth(1.0), depth(0.5)
    assert SIZES["small"] * nearest < SIZES["medium"] * furthest
    assert SIZES["medium"] * nearest < SIZES["big"] * furthest


def test_numbers_and_groups(scenes: list[Scene]) -> None:
    for scene in scenes:
        looks = Counter(thing.look for thing in scene.things)
        assert 1 <= len(scene.things) <= MAX_THINGS
        assert 1 <= len(looks) <= 5
        assert max(looks.values()) <= 4
        # Groups of a kind differ in colour, so that "two brown dogs" can be counted.
        assert len({(look.kind, look.colour) for look in looks}) == len(looks)
    sizes = Counter(len({thing.look for thing in scene.things}) for scene in scenes)
    assert set(sizes) == {1, 2, 3, 4, 5}


def test_kinds_are_long_tailed_and_all_occur() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(thing.kind for _ in range(2500) for thing in sample_scene(rng).things)
    assert set(counts) == set(KINDS)
    ordered = sorted(counts.values(), reverse=True)
    assert ordered[0] > 5 * ordered[-1]
    assert sum(ordered[:16]) > 0.35 * sum(ordered)


def test_the_generator_decides_everything() -> None:
    a, b = (sample_scene(np.random.default_rng([7, 3])) for _ in range(2))
    assert a == b
    assert a != sample_scene(np.random.default_rng([7, 4]))


def test_a_scene_may_be_refused_for_its_content() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        scene = sample_scene(rng, lambda content: content.place == "sea" and content.time == "night")
        assert (scene.place, scene.time) == ("sea", "night")
