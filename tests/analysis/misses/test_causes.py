"""Causes of misses: by truth against a plain loop, and by text on examples."""

import numpy as np
import pandas as pd
import pytest

from analysis.misses.causes import ALL_CAUSES, confusion, misses, most_confident, shares, worst
from analysis.misses.differences import CAUSES
from itr_core.pairs import load_pairs
from itr_core.pairs.pairset import Relevance
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.semantics import entails
from itr_core.picturebook.splits import scene_of


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def judge(
    captions: list[str], similarity: np.ndarray, image_of_caption: list[int], truth: Relevance | None = None
) -> pd.DataFrame:
    """Return the misses for orthogonal images and captions with the given cosines (n, m)."""
    rest = np.sqrt(1 - np.square(similarity).sum(0))  # along a direction of the caption alone
    texts = np.concatenate([similarity.T, np.diag(rest)], axis=1)
    images = np.eye(*[texts.shape[1]] * 2)[: len(similarity)]
    return misses(
        images.astype(np.float32), texts.astype(np.float32), np.array(image_of_caption), captions, truth=truth
    )


@pytest.fixture(scope="module")
def picturebook() -> tuple[SceneRelevance, list[str], np.ndarray]:
    scenes = [scene_of("val", index) for index in range(60)]
    captions = [caption for scene in scenes for caption in captions_of(scene)]
    truth = SceneRelevance(scenes, [caption.meaning for caption in captions])
    return truth, [caption.text for caption in captions], np.repeat(np.arange(60), 5)


@pytest.fixture(scope="module")
def table(picturebook: tuple[SceneRelevance, list[str], np.ndarray]) -> pd.DataFrame:
    """Misses of a poor model."""
    truth, captions, image_of_caption = picturebook
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(60, 16)))
    texts = unit(images[image_of_caption] + 0.5 * rng.normal(size=(300, 16)))
    return misses(images, texts, image_of_caption, captions, truth)


def test_false_negatives_are_the_true_results(
    picturebook: tuple[SceneRelevance, list[str], np.ndarray], table: pd.DataFrame
) -> None:
    truth, _, image_of_caption = picturebook
    assert set(table["direction"]) == {"t2i", "i2t"}
    for row in table.to_dict("records"):
        query, found = row["query"], row["found"]
        caption, image = (query, found) if row["direction"] == "t2i" else (found, query)
        assert image != image_of_caption[caption]
        assert (row["cause"] == "false negative") == entails(truth.scenes[image], truth.meanings[caption])
        assert (row["cause"] == "false negative") == (row["concept"] == "")
    assert set(table["by"]) <= {"truth", "embeddings"}
    assert "unknown" not in set(table["cause"])  # in Picturebook every difference is known


def test_the_cause_follows_from_the_concept_of_the_difference(table: pd.DataFrame) -> None:
    wrong = table[~table["cause"].isin(ALL_CAUSES[:3])]
    assert len(wrong) > 50
    assert (wrong["concept"].map(CAUSES) == wrong["cause"]).all()
    assert (wrong["by"] == "truth").all()


def test_judgments_without_scenes_decide_false_negatives_and_texts_the_rest(
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


def test_causes_by_text_in_both_directions() -> None:
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
        [0, 1, ""],  # "parked" is no object
        [2, 1, "colour: red -> blue"],
        [3, 0, "object: car -> ?"],
    ]


def test_images_with_similar_embeddings_are_near_duplicates() -> None:
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(20, 32)))
    images[1] = unit(images[0] + 0.01 * rng.normal(size=32))
    texts = images.copy()
    texts[[0, 3]] = images[[1, 4]]  # caption 0 finds the near-duplicate of its image, caption 3 another image
    captions = [f"word{chr(97 + row)}" for row in range(20)]
    table = misses(images, texts, np.arange(20), captions)
    t2i = table[table["direction"] == "t2i"]
    rows = {row["query"]: (row["found"], row["cause"], row["by"]) for row in t2i.to_dict("records")}
    assert rows[0] == (1, "near-duplicate", "embeddings")
    assert rows[3] == (4, "wrong object", "text")
    # The same causes in a space where all vectors are close together, since distances are relative.
    images, texts = unit(images + 3 * np.ones(32)), unit(texts + 3 * np.ones(32))
    again = misses(images, texts, np.arange(20), captions)
    assert again.loc[again["direction"] == "t2i", "cause"].tolist() == t2i["cause"].tolist()


class _Judged:
    """Judgments: the pairs (image, caption) in `true` are true, all others are not."""

    def __init__(self, n: int, m: int, true: list[tuple[int, int]]) -> None:
        self.cells = np.zeros((n, m), bool)
        self.cells[tuple(np.transpose(true))] = True

    def matrix(
        self, images: slice | np.ndarray = slice(None), captions: np.ndarray | None = None
    ) -> np.ndarray:
        """Cells of the judgments."""
        return self.cells[images] if captions is None else self.cells[images][:, captions]

    def grade(self, images: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Rows of the judgments as numbers."""
        return self.cells[images].astype(np.float32)


def test_an_image_whose_captions_are_all_true_of_the_other_is_a_near_duplicate() -> None:
    captions = ["a dog in the sun", "a dog", "a house", "a tree"]
    similarity = np.array([[0.1, 0, 0, 0], [0.6, 0.7, 0, 0], [0, 0, 0.5, 0.6], [0, 0, 0, 0.5]])
    truth = _Judged(4, 4, [(0, 0), (0, 1), (1, 1), (2, 2), (3, 3)])
    table = judge(captions, similarity, [0, 1, 2, 3], truth)
    assert table.loc[table["direction"] == "t2i", ["query", "found", "cause", "by"]].to_numpy().tolist() == [
        [0, 1, "near-duplicate", "truth"],  # all captions of image 1 are true of image 0
        [3, 2, "wrong object", "text"],
    ]


def test_a_hub_is_found_by_more_queries_than_chance_explains() -> None:
    rng = np.random.default_rng(0)
    similarity = np.diag(np.full(40, 0.4))
    similarity[7, :9] = 0.5  # one query per image is expected; nine have a probability of 1e-6
    similarity[8, 9] = similarity[8, 10] = 0.5
    captions = [f"{a}{b}{b}{a}" for a, b in rng.choice(list("bcdfghjklm"), (40, 2))]
    table = judge(captions, similarity, list(range(40)))
    t2i = table[table["direction"] == "t2i"]
    assert set(t2i.loc[t2i["found"] == 7, "cause"]) <= {"hub", "false negative"}
    assert (t2i.loc[t2i["found"] == 7, "firsts"] == 9).all()
    assert not t2i.loc[t2i["found"] == 8, "cause"].eq("hub").any()


def test_tables_derived_from_misses() -> None:
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


def test_a_perfect_model_has_empty_tables() -> None:
    eye = np.eye(3, dtype=np.float32)
    table = misses(eye, eye, np.arange(3), ["a", "b", "c"])
    assert table.empty
    assert confusion(table).empty
    assert worst(table).empty
    assert (shares(table).to_numpy() == 0).all()


def test_a_wrong_number_of_captions_is_refused() -> None:
    eye = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="2 captions, but image_of_caption has 3 entries"):
        misses(eye, eye, np.arange(3), ["a", "b"])
