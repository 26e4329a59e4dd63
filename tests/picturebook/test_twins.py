"""Twins differ in one fact, stay in their split, and have queries that tell them apart."""

from collections import Counter

import numpy as np
import pytest

from itr_core.errors import SourceError
from itr_core.pairs import load_pairs
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.scene_rules import check
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.source import scene_of_id
from itr_core.picturebook.splits import may_have, scene_of
from itr_core.picturebook.twins import twin_of
from tests.support import present

N = 400


@pytest.fixture(scope="module")
def twins() -> list[tuple[Scene, Scene]]:
    return [(scene_of("train", index), twin_of(index)) for index in range(N)]


def _changed(scene: Scene, twin: Scene) -> str:
    looks, theirs = ([thing.look for thing in each.things] for each in (scene, twin))
    if (scene.time, scene.weather) != (twin.time, twin.weather):
        return "setting" if looks == theirs else "several"
    if looks == theirs:
        return "relations" if SceneFacts(scene).relations != SceneFacts(twin).relations else "nothing"
    ours, others = Counter(looks), Counter(theirs)
    if len(looks) != len(theirs):
        return "number" if set(ours) == set(others) else "several"
    fields = {
        field
        for a, b in zip(looks, theirs, strict=True)
        for field in a._fields
        if getattr(a, field) != getattr(b, field)
    }
    return "attribute" if len(fields) == 1 else "several"


def test_twins_differ_in_one_fact_of_every_kind(twins: list[tuple[Scene, Scene]]) -> None:
    kinds = Counter(_changed(*pair) for pair in twins)
    assert set(kinds) == {"number", "attribute", "relations", "setting"}
    assert kinds["number"] > 0.3 * N
    assert min(kinds["attribute"], kinds["relations"]) > 0.2 * N
    assert all(scene.place == twin.place for scene, twin in twins)


def test_twins_keep_the_rules_of_the_world_and_of_the_split(twins: list[tuple[Scene, Scene]]) -> None:
    for index, (_, twin) in enumerate(twins):
        check(twin)
        assert may_have("train", twin)
        assert not may_have("val", twin)
        twin_of.cache_clear()
        assert twin_of(index) == twin


def test_a_source_of_twins_alternates_and_half_of_its_queries_tell_them_apart() -> None:
    pairs = load_pairs("picturebook:train+twins@60")
    assert pairs.image_ids[:3] == ["train-000000.png", "train-twin-000000.png", "train-000001.png"]
    scenes = [scene_of_id(image_id) for image_id in pairs.image_ids]
    assert scenes[:4] == [scene_of("train", 0), twin_of(0), scene_of("train", 1), twin_of(1)]
    assert [captions[:5] for captions in pairs.captions[::2]] == load_pairs("picturebook:train@60").captions
    truth = present(pairs.relevance).matrix().reshape(120, 120, 15)  # images x texts of each image
    rows = np.arange(120)
    assert truth[rows, rows].all()
    of_the_twin = truth[rows ^ 1, rows]
    assert 0.4 < (~of_the_twin[:, 5:10]).mean() <= 1  # the others state a fact that both have
    assert (~of_the_twin[:, 5:10]).mean() > 3 * (~of_the_twin[:, 10:]).mean()


def test_only_train_has_twins() -> None:
    with pytest.raises(SourceError, match="only train has twins"):
        load_pairs("picturebook:val+twins")
