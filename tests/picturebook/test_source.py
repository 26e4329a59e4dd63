"""Picturebook as a source of pairs."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from pyarrow import parquet

from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from itr_core.picturebook import source
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.semantics import entails, grade
from itr_core.picturebook.source import TABLES, scene_of_id, scenes_of_ids, table_name, write_table
from itr_core.picturebook.splits import scene_of
from tests.support import present


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    return load_pairs("picturebook:val@40")


def test_pairs_are_the_split_in_order(pairs: PairSet) -> None:
    assert len(pairs) == 40
    assert pairs.image_ids[:2] == ["val-000000.png", "val-000001.png"]
    assert pairs.captions[7] == [caption.text for caption in captions_of(scene_of("val", 7))]
    assert pairs.labels is not None
    assert pairs.labels[7] == sorted({thing.kind for thing in scene_of("val", 7).things})
    assert pairs.image(7).tobytes() == draw(scene_of("val", 7)).tobytes()
    assert scene_of_id(pairs.image_ids[7]) == scene_of("val", 7)


def test_relevance_is_exact_and_follows_a_selection(pairs: PairSet) -> None:
    assert pairs.relevance is not None
    matrix, grades = pairs.relevance.matrix(), pairs.relevance.grade()
    assert matrix.shape == grades.shape == (40, 200)
    assert matrix[np.arange(200) // 5, np.arange(200)].all()
    for image, caption in ((3, 15), (3, 40), (20, 104), (8, 10)):
        scene, meaning = (
            scene_of("val", image),
            captions_of(scene_of("val", caption // 5))[caption % 5].meaning,
        )
        assert matrix[image, caption] == entails(scene, meaning)
        assert grades[image, caption] == pytest.approx(grade(scene, meaning))
    chosen = pairs.select([5, 2])
    assert chosen.relevance is not None
    columns = [*range(25, 30), *range(10, 15)]
    assert (chosen.relevance.matrix() == matrix[[5, 2]][:, columns]).all()


def test_the_shipped_table_is_that_of_the_demo_gallery(tmp_path: Path) -> None:
    """If scenes, captions or columns have changed, run `python benchmarks/starter.py pack-gallery`."""
    name = table_name("gallery", len(load_pairs("picturebook:gallery")))
    assert [path.name for path in TABLES.iterdir()] == [name]
    write_table("gallery", 2000, tmp_path / name)
    assert parquet.read_table(TABLES / name).equals(parquet.read_table(tmp_path / name))


def test_scenes_of_a_shipped_table_and_others_are_those_of_their_ids() -> None:
    ids = ["gallery-001999.png", "val-000003.png", "gallery-000000.png", "train-twin-000017.png"]
    assert scenes_of_ids(ids) == [scene_of_id(each) for each in ids]
    with pytest.raises(SourceError, match="no image id"):
        scenes_of_ids(["gallery-000000.png", "photo.png"])


def test_other_captions_are_true_of_an_image_too(pairs: PairSet) -> None:
    assert pairs.relevance is not None
    assert (
        pairs.relevance.matrix().sum() > 220
    )  # 200 pairs, and those that a data set of photos would call wrong


def test_a_source_with_queries_has_more_true_captions_and_false_ones(pairs: PairSet) -> None:
    more = load_pairs("picturebook:val+queries@40")
    assert more.image_ids == pairs.image_ids
    assert [captions[:5] for captions in more.captions] == pairs.captions
    texts, image_of_caption = more.flat_captions()
    assert len(texts) == 40 * 15
    assert more.relevance is not None
    assert more.relevance.matrix()[image_of_caption, np.arange(len(texts))].all()
    false = present(more.false_captions)
    assert [len(each) for each in false] == [15] * 40
    assert all(not any(each[:5]) and all(each[5:]) for each in false)
    assert pairs.false_captions is None


def test_the_truth_of_false_captions_is_known_too() -> None:
    """Numbers of false captions follow those of the captions, also in a selection."""
    whole = load_pairs("picturebook:train+twins@6")
    for pairs in (whole, whole.select([7, 6, 2])):
        texts, image_of_caption = pairs.flat_captions()
        false = [
            (row, text) for row, each in enumerate(present(pairs.false_captions)) for f in each for text in f
        ]
        image_of_false = np.array([row for row, _ in false])
        numbers = np.arange(len(texts) + len(false))
        truth = present(pairs.relevance).matrix(captions=numbers)
        assert truth.shape == (len(pairs), len(numbers))
        np.testing.assert_array_equal(truth[:, : len(texts)], present(pairs.relevance).matrix())
        assert truth[image_of_caption, numbers[: len(texts)]].all()
        assert not truth[image_of_false, numbers[len(texts) :]].any()
        assert truth[:, len(texts) :].any()  # what is false of one image is true of another
        one = present(pairs.relevance).matrix(np.array([1, 0]), numbers[[-1, 3]])
        np.testing.assert_array_equal(one, truth[[1, 0]][:, [-1, 3]])


def test_only_queries_and_twins_can_follow_a_split() -> None:
    with pytest.raises(SourceError, match=r"only \+queries or \+twins can follow"):
        load_pairs("picturebook:val+typos")


def test_sizes_limits_and_names() -> None:
    assert len(load_pairs("picturebook:test", limit=3)) == 3
    assert load_pairs("picturebook", limit=2).image_ids == ["train-000000.png", "train-000001.png"]
    assert load_pairs("picturebook:train@5", limit=9).image_ids[-1] == "train-000004.png"
    assert load_pairs("picturebook:val@4").captions == load_pairs("picturebook:val@6").captions[:4]


def test_a_second_load_reads_what_the_first_wrote(pairs: PairSet) -> None:
    with patch.object(source, "scene_of", side_effect=AssertionError("drawn up again")):
        again = load_pairs("picturebook:val@40")
        assert again.captions == pairs.captions
    assert again.fingerprint == pairs.fingerprint
    assert again.fingerprint != load_pairs("picturebook:val@39").fingerprint


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("picturebook:vall", "Did you mean 'val'"),
        ("picturebook:train@many", "train@5000"),
        ("picturebook:train@0", "train@5000"),
    ],
)
def test_bad_specs(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        load_pairs(spec)


def test_an_id_of_something_else() -> None:
    with pytest.raises(SourceError, match="test-000017"):
        scene_of_id("COCO_val2014_000000391895.jpg")
