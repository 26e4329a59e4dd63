"""Causes of misses: by truth against a plain loop, by text on captions made for it."""

import numpy as np
import pandas as pd
import pytest

from analysis.misses.causes import ALL_CAUSES, confusion, misses, most_confident, shares, worst
from analysis.misses.differences import CAUSES
from itr_core.pairs import load_pairs
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.semantics import entails
from itr_core.picturebook.splits import scene_of


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def judge(
    captions: list[str], similarity: np.ndarray, image_of_caption: list[int], truth: object = None
) -> pd.DataFrame:
    """Misses where each image is a direction of its own and each caption has the given cosines (n, m)."""
    rest = np.sqrt(1 - np.square(similarity).sum(0))  # along a direction of its own
    texts = np.concatenate([similarity.T, np.diag(rest)], axis=1)
    images = np.eye(*[texts.shape[1]] * 2)[: len(similarity)]
    return misses(
        images.astype(np.float32), texts.astype(np.float32), np.array(image_of_caption), captions, truth=truth
    )


@pytest.fixture(scope="module")
def picturebook() -> tuple[SceneRelevance, list[str], np.ndarray]:
    scenes = [scene_of("val", index) for index in range(60)]
    told = [captions_of(scene) for scene in scenes]
    truth = SceneRelevance(scenes, [caption.meaning for each in told for caption in each])
    return truth, [caption.text for each in told for caption in each], np.repeat(np.arange(60), 5)


@pytest.fixture(scope="module")
def table(picturebook: tuple[SceneRelevance, list[str], np.ndarray]) -> pd.DataFrame:
    """Of a poor model, which knows hardly anything."""
    truth, captions, image_of_caption = picturebook
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(60, 16)))
    texts = unit(images[image_of_caption] + 0.5 * rng.normal(size=(300, 16)))
    return misses(images, texts, image_of_caption, captions, truth)


def test_hidden_positives_are_what_is_true(
    picturebook: tuple[SceneRelevance, list[str], np.ndarray], table: pd.DataFrame
) -> None:
    truth, _, image_of_caption = picturebook
    assert set(table["direction"]) == {"t2i", "i2t"}
    for row in table.itertuples():
        caption, image = (row.query, row.found) if row.direction == "t2i" else (row.found, row.query)
        assert image != image_of_caption[caption]
        assert (row.cause == "false negative") == entails(truth.scenes[image], truth.meanings[caption])
        assert (row.cause == "false negative") == (row.concept == "")
    assert set(table["by"]) <= {"truth", "embeddings"}
    assert "unknown" not in set(table["cause"])  # what is false is known in all of Picturebook


def test_the_cause_is_that_of_the_difference(table: pd.DataFrame) -> None:
    wrong = table[~table["cause"].isin(ALL_CAUSES[:3])]
    assert len(wrong) > 50
    assert (wrong["concept"].map(CAUSES) == wrong["cause"]).all()
    assert (wrong["by"] == "truth").all()


def test_judgments_without_scenes_tell_hidden_positives_and_leave_the_rest_to_text(
    picturebook: tuple[SceneRelevance, list[str], np.ndarray], table: pd.DataFrame
) -> None:
    pairs = load_pairs("picturebook:val@60")
    truth, captions, image_of_caption = picturebook
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(60, 16)))
    texts = unit(images[image_of_caption] + 0.5 * rng.normal(size=(300, 16)))
    judged = misses(images, texts, image_of_caption, captions, pairs.relevance)
    hidden = judged["cause"] == "false negative"
    assert hidden.equals(table["cause"] == "false negative")
    assert (judged.loc[hidden, "by"] == "truth").all()
    assert set(judged.loc[~hidden, "by"]) <= {"text", "embeddings"}
    assert truth is not pairs.relevance


def test_by_text_both_ways() -> None:
    captions = ["a red car", "a parked red car", "a blue car", "two dogs on a lawn"]
    similarity = np.array([[0.4, 0, 0, 0.3], [0.5, 0.6, 0.5, 0], [0, 0, 0.4, 0], [0, 0, 0, 0.2]])
    table = judge(captions, similarity, [0, 1, 2, 3])
    found = table[["direction", "query", "found", "cause", "by", "detail"]].to_numpy().tolist()
    assert found == [
        ["t2i", 0, 1, "false negative", "text", ""],
        ["t2i", 2, 1, "wrong attribute", "text", "colour: blue -> red"],
        ["t2i", 3, 0, "wrong object", "text", "object: dogs -> ?"],
    ]
    table = judge(captions, similarity.T, [0, 1, 2, 3])
    assert table.loc[table["direction"] == "i2t", ["query", "found", "detail"]].to_numpy().tolist() == [
        [0, 1, "object: parked -> ?"],
        [2, 1, "colour: red -> blue"],
        [3, 0, "object: car -> ?"],
    ]


def test_images_that_look_the_same() -> None:
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(20, 32)))
    images[1] = unit(images[0] + 0.01 * rng.normal(size=32))
    texts = images.copy()
    texts[[0, 3]] = images[[1, 4]]  # the first finds its double, the third a stranger
    captions = [f"word{chr(97 + row)}" for row in range(20)]
    table = misses(images, texts, np.arange(20), captions)
    t2i = table[table["direction"] == "t2i"].set_index("query")
    assert t2i.loc[0, ["found", "cause", "by"]].tolist() == [1, "near-duplicate", "embeddings"]
    assert t2i.loc[3, ["found", "cause", "by"]].tolist() == [4, "wrong object", "text"]
    # A space in which all vectors lie close together tells the same, as distances are relative.
    narrow = [unit(x + 3 * np.ones(32)) for x in (images, texts)]
    again = misses(*narrow, np.arange(20), captions)
    assert again.loc[again["direction"] == "t2i", "cause"].tolist() == t2i["cause"].tolist()


class _Judged:
    """Everything true of the images in `pairs`, and nothing else."""

    def __init__(self, n: int, m: int, true: list[tuple[int, int]]) -> None:
        self.cells = np.zeros((n, m), bool)
        self.cells[tuple(np.transpose(true))] = True

    def matrix(self, images: object = slice(None)) -> np.ndarray:
        return self.cells[images]

    def grade(self, images: object = slice(None)) -> np.ndarray:
        return self.cells[images].astype(np.float32)


def test_an_image_of_which_everything_is_true_of_the_other_is_a_near_duplicate() -> None:
    captions = ["a dog in the sun", "a dog", "a house", "a tree"]
    similarity = np.array([[0.1, 0, 0, 0], [0.6, 0.7, 0, 0], [0, 0, 0.5, 0.6], [0, 0, 0, 0.5]])
    truth = _Judged(4, 4, [(0, 0), (0, 1), (1, 1), (2, 2), (3, 3)])
    table = judge(captions, similarity, [0, 1, 2, 3], truth)
    assert table.loc[table["direction"] == "t2i", ["query", "found", "cause", "by"]].to_numpy().tolist() == [
        [0, 1, "near-duplicate", "truth"],  # all that is said of image 1 is true of image 0
        [3, 2, "wrong object", "text"],
    ]


def test_a_hub_answers_more_queries_than_chance_explains() -> None:
    rng = np.random.default_rng(0)
    similarity = np.diag(np.full(40, 0.4))
    similarity[7, :9] = 0.5  # expected is one query an image; nine have a probability of 1e-6
    similarity[8, 9] = similarity[8, 10] = 0.5
    captions = [f"{a}{b}{b}{a}" for a, b in rng.choice(list("bcdfghjklm"), (40, 2))]
    table = judge(captions, similarity, list(range(40)))
    t2i = table[table["direction"] == "t2i"]
    assert set(t2i.loc[t2i["found"] == 7, "cause"]) <= {"hub", "false negative"}
    assert (t2i.loc[t2i["found"] == 7, "firsts"] == 9).all()
    assert not t2i.loc[t2i["found"] == 8, "cause"].eq("hub").any()


def test_tables_of_misses() -> None:
    table = pd.DataFrame(
        [
            ("t2i", 9.0, 0.1, "wrong object", "object", "dog", "fox"),
            ("t2i", 4.0, 0.3, "wrong attribute", "colour", "red", "blue"),
            ("t2i", 9.0, 0.2, "wrong attribute", "colour", "red", "blue"),
            ("i2t", 2.0, 0.2, "wrong attribute", "colour", "red", "green"),
            ("i2t", 2.0, 0.2, "wrong object", "object", "cat", ""),
            ("i2t", 7.0, 0.2, "false negative", "", "", ""),
        ],
        columns=["direction", "rank", "margin", "cause", "concept", "captioned", "depicted"],
    )
    assert confusion(table).to_numpy().tolist() == [
        ["object", "dog", "fox", 1],
        ["colour", "red", "blue", 2],
        ["colour", "red", "green", 1],
    ]
    assert worst(table, 3).index.tolist() == [2, 0, 5]
    assert most_confident(table, 3).index.tolist() == [1, 2, 5]
    assert shares(table).index.tolist() == list(ALL_CAUSES)
    assert shares(table)["t2i"].to_dict() == pytest.approx(
        dict.fromkeys(ALL_CAUSES, 0) | {"wrong object": 1 / 3, "wrong attribute": 2 / 3}
    )


def test_a_perfect_model_makes_empty_tables() -> None:
    eye = np.eye(3, dtype=np.float32)
    table = misses(eye, eye, np.arange(3), ["a", "b", "c"])
    assert table.empty
    assert confusion(table).empty
    assert worst(table).empty
    assert (shares(table) == 0).all(axis=None)


def test_captions_that_do_not_fit_are_named() -> None:
    eye = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="2 captions, but owner tells the image of 3"):
        misses(eye, eye, np.arange(3), ["a", "b"])
