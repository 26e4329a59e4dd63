"""Edited captions: known truth, one change, every sort of edit."""

from collections import Counter

import numpy as np
import pytest

from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.edits import EDITS, Edit, edits_of
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning, Variable, entails


@pytest.fixture(scope="module")
def edits(scenes: list[Scene]) -> list[tuple[Scene, Edit]]:
    rng = np.random.default_rng(0)
    return [(scene, edit) for scene in scenes[:300] for edit in edits_of(scene, rng)]


def test_truth_is_what_the_edit_says(edits: list[tuple[Scene, Edit]]) -> None:
    for scene, edit in edits:
        assert entails(scene, edit.before.meaning)
        assert entails(scene, edit.after.meaning) == edit.true
        assert edit.true == (edit.name in ("drop detail", "add true detail"))


def test_every_sort_is_made_often(edits: list[tuple[Scene, Edit]]) -> None:
    counts = Counter(edit.name for _, edit in edits)
    assert set(counts) == set(EDITS)
    assert min(counts.values()) > 100


def test_an_edit_changes_what_its_name_says(edits: list[tuple[Scene, Edit]]) -> None:
    for _, edit in edits:
        before, after = edit.before.meaning, edit.after.meaning
        assert edit.before.text != edit.after.text
        fact_count = after.fact_count() - before.fact_count()
        if edit.name == "drop detail":
            assert fact_count < 0
            assert len(edit.after.text.split()) <= len(edit.before.text.split())
        elif edit.name.startswith("add"):
            assert fact_count > 0
        else:
            assert len(before.things) == len(after.things)
            assert (before.place, before.time, before.weather) == (after.place, after.time, after.weather)
        if edit.name == "swap relation":
            assert before.things == after.things
        if edit.name == "swap object":
            assert [v.colour for v in before.things] == [v.colour for v in after.things]
            assert [v.term for v in before.things] != [v.term for v in after.things]
        if edit.name == "change count":
            assert [v.term for v in before.things] == [v.term for v in after.things]
            assert [(v.least, v.most) for v in before.things] != [(v.least, v.most) for v in after.things]


def test_any_true_caption_can_be_edited(scenes: list[Scene], captions: list[list[Caption]]) -> None:
    rng = np.random.default_rng(1)
    for scene, said in zip(scenes[:40], captions, strict=False):
        for caption in said:
            edits = edits_of(scene, rng, caption.meaning)
            assert {"change count", "swap object"} & {edit.name for edit in edits}
            assert all(edit.before.meaning == caption.meaning for edit in edits)


def test_a_false_caption_is_refused(scenes: list[Scene]) -> None:
    other = "sea" if scenes[0].place != "sea" else "farm"
    with pytest.raises(ValueError, match="false"):
        edits_of(scenes[0], np.random.default_rng(0), Meaning(place=other))


def test_nothing_to_say_gives_no_swaps(scenes: list[Scene]) -> None:
    kind = scenes[0].things[0].kind
    names = {edit.name for edit in edits_of(scenes[0], np.random.default_rng(0), Meaning((Variable(kind),)))}
    assert not names & {"swap attribute", "swap relation", "drop detail"}


def test_same_generator_same_edits(scenes: list[Scene]) -> None:
    one, two = (
        edits_of(scenes[4], np.random.default_rng(9), captions_of(scenes[4])[4].meaning) for _ in range(2)
    )
    assert one == two
