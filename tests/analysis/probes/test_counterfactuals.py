"""Probes against entailment, and their tables for a model whose scores follow by hand."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from analysis.probes.counterfactuals import (
    Probe,
    gallery_probes,
    probe_accuracy,
    probe_table,
    scene_probes,
    with_true_captions,
)
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.edits import EDITS
from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.splits import scene_of
from itr_core.picturebook.wording import article


class Letters:
    """Encodes a text by the counts of the letters a to d."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors (N, 4), or zeros for texts without these letters."""
        counts = np.array([[text.count(letter) for letter in "abcd"] for text in texts], np.float32).reshape(
            -1, 4
        )
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-12)


IMAGES = np.eye(4, dtype=np.float32)


def test_scores_and_ranks_before_and_after() -> None:
    probes = [Probe("x", "a", "b"), Probe("x", "aab", "abb"), Probe("y", "ab", "abc", true=True)]
    table = probe_table(Letters(), IMAGES, probes, np.array([0, 0, 1]))
    assert table[["kind", "before", "after", "true", "image"]].to_numpy().tolist() == [
        ["x", "a", "b", False, 0],
        ["x", "aab", "abb", False, 0],
        ["y", "ab", "abc", True, 1],
    ]
    assert table["score"].tolist() == pytest.approx([0, 1 / 5**0.5, 1 / 3**0.5])
    assert table["change"].tolist() == pytest.approx([-1, -1 / 5**0.5, 1 / 3**0.5 - 1 / 2**0.5])
    assert table["rank"].tolist() == [3, 2, 2]  # "b": one image is better, and three are equal
    assert table["rank_change"].tolist() == [2, 1, 0.5]


def test_one_row_can_stand_for_all_probes() -> None:
    probes = [Probe("x", "a", "b"), Probe("x", "b", "a")]
    one, all_ = (probe_table(Letters(), IMAGES, probes, rows) for rows in (1, np.array([1, 1])))
    pd.testing.assert_frame_equal(one, all_)
    assert probe_table(Letters(), IMAGES, [], 0).empty


def test_accuracy_counts_higher_true_captions_and_half_of_the_ties() -> None:
    table = pd.DataFrame(
        {
            "kind": ["x", "x", "x", "y", "y"],
            "true": [False, False, False, False, True],
            "image": [3, 3, 9, 9, 9],
            "change": [-0.1, 0.2, 0.0, -0.1, 5.0],
        }
    )
    found = probe_accuracy(table)
    assert found.index.tolist() == ["x", "y"]
    assert found[["probes", "images", "accuracy"]].to_numpy().tolist() == [[3, 2, 0.5], [1, 1, 1.0]]
    assert (found["low"]["x"], found["high"]["x"]) == (0.5, 0.5)  # any draw of the two images gives one half
    assert probe_accuracy(table[table["true"]]).empty


def test_the_interval_of_random_scores_contains_one_half() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"kind": "x", "true": False, "image": np.arange(400), "change": rng.normal(size=400)}
    )
    (row,) = probe_accuracy(table).to_dict("records")
    assert row["low"] < 0.5 < row["high"]
    assert row["high"] - row["low"] == pytest.approx(4 * 0.5 / 400**0.5, rel=0.15)


def test_probes_of_scenes_have_the_truth_that_they_state() -> None:
    seen = set()
    for index in range(40):
        scene = scene_of("val", index)
        terms = {term for thing in scene.things for term in KINDS[thing.kind].is_a}
        for probe in scene_probes(scene, np.random.default_rng(index)):
            seen.add(probe.kind)
            assert probe.true == (probe.kind in EDITS and EDITS[probe.kind][1])
            if probe.kind == "without":
                (start, missing), (same, shown) = (
                    text.rsplit(" without ", 1) for text in (probe.before, probe.after)
                )
                assert start == same
                assert missing in {article(kind) for kind in KINDS if kind not in terms}
                assert shown in {article(kind) for kind in terms}
            if probe.kind == "negate":
                assert probe.after.startswith("no ")
                assert probe.before.split()[-2:] == probe.after.split()[-2:]
    assert seen == {*EDITS, "negate", "without"}


def test_probes_of_a_gallery_are_of_a_sample_of_its_images() -> None:
    scenes = [scene_of("val", index) for index in range(8)]
    every = [caption for scene in scenes for caption in captions_of(scene)]
    truth = SceneRelevance(scenes, [caption.meaning for caption in every])
    captions, image_of_caption = [caption.text for caption in every], np.repeat(np.arange(8), 5)

    probes, rows = gallery_probes(captions, image_of_caption, truth, max_images=5)
    assert len(probes) == len(rows)
    assert len(set(rows.tolist())) == 5
    assert gallery_probes(captions, image_of_caption, truth, max_images=5)[0] == probes
    assert gallery_probes(captions, image_of_caption, truth, max_images=5, seed=1)[0] != probes

    probes, rows = gallery_probes(captions, image_of_caption, max_images=8)
    assert set(rows.tolist()) <= set(range(8))
    assert not any(probe.true for probe in probes)
    for probe, row in zip(probes, rows, strict=True):
        if probe.kind != "without":
            assert probe.before in captions[5 * row : 5 * row + 5]


def test_true_captions_come_first_with_no_change() -> None:
    probes = [Probe("x", "a", "b"), Probe("y", "ab", "abc", true=True), Probe("z", "a", "c")]
    grouped = with_true_captions(probes)
    assert [(probe.kind, probe.after) for probe in grouped] == [
        ("", "a"), ("x", "b"), ("z", "c"), ("", "ab"), ("y", "abc")
    ]  # fmt: skip
    table = probe_table(Letters(), IMAGES, grouped, 0)
    true = table[table["kind"] == ""]
    assert (true[["change", "rank_change"]].to_numpy() == 0).all()
    assert true["score"].tolist() == pytest.approx([1, 1 / 2**0.5])
    assert with_true_captions([]) == []
