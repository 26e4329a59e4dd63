"""Labels of images: the source's own, words of captions, clusters; and what is said where there are none."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from datasets import Dataset

from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from itr_core.supervision.labels import CLUSTERS, best_kind, label_matrix
from tests.support import present


def source(captions: Sequence[list[str]], labels: list[list[str]] | None = None) -> PairSet:
    columns = {"image": [""] * len(captions), "captions": list(captions)}
    columns["image_id"] = [str(index) for index in range(len(captions))]
    return PairSet(
        Dataset.from_dict(columns | ({"labels": labels} if labels is not None else {})), source="here"
    )


def never() -> tuple[np.ndarray, np.ndarray]:
    raise AssertionError("nothing needs to be embedded")


TALKING = source([["two dogs"], ["a cat", "the dog and the cat"], [], ["nothing else"]])


def test_source_labels_by_row() -> None:
    pairs = source([["x"]] * 3, [["sea", "dog"], [], ["dog"]])
    names, matrix = label_matrix(pairs, "source", never, seed=0)
    assert names == ["dog", "sea"]
    assert matrix.dtype == np.bool_
    np.testing.assert_array_equal(matrix, [[1, 1], [0, 0], [1, 0]])


def test_concepts_are_those_of_any_caption_in_any_form() -> None:
    names, matrix = label_matrix(TALKING, "concepts", never, seed=0)
    dog, cat = (next(i for i, name in enumerate(names) if name.startswith(word)) for word in ("dog", "cat"))
    np.testing.assert_array_equal(matrix[:, [dog, cat]], [[1, 0], [1, 1], [0, 0], [0, 0]])
    assert "the" not in names


def test_clusters_separate_groups_and_skip_images_without_captions() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(CLUSTERS, dtype=np.float32)
    texts = np.repeat(centres, 9, axis=0) + 0.01 * rng.standard_normal((9 * CLUSTERS, CLUSTERS)).astype(
        np.float32
    )
    texts[5] = 0
    pairs = source([["x"]] * len(texts))
    names, matrix = label_matrix(pairs, "clusters", lambda: (texts * np.nan, texts), seed=0)
    assert len(names) == len(set(names)) == matrix.shape[1] == CLUSTERS
    assert (matrix.sum(1) == [index != 5 for index in range(len(texts))]).all()
    groups = np.arange(len(texts)) // 9
    together = matrix.astype(int) @ matrix.T > 0
    agree = [
        together[a, b] == (groups[a] == groups[b]) for a, b in itertools.combinations(range(len(texts)), 2)
    ]
    assert np.mean(agree) > 0.98
    again = label_matrix(pairs, "clusters", lambda: (texts, texts), seed=0)
    np.testing.assert_array_equal(again[1], matrix)


def test_few_images_have_few_clusters() -> None:
    texts = np.eye(3, dtype=np.float32)
    names, matrix = label_matrix(source([["x"]] * 3), "clusters", lambda: (texts, texts), seed=0)
    assert len(names) == 3
    assert (matrix.sum(1) == 1).all()


def test_auto_selects_the_first_available_kind() -> None:
    assert best_kind(source([["a dog"]], [["sea"]])) == "source"
    assert best_kind(source([["a dog"]], [[]])) == "concepts"  # a column of labels, and nothing in it
    assert best_kind(source([["12 of the 34"]])) == "clusters"
    assert label_matrix(source([["a dog"]], [["sea"]]), "auto", never, seed=0)[0] == ["sea"]
    assert label_matrix(source([["a dog"]]), "auto", never, seed=0)[0] == ["dog"]


def test_picturebook_has_labels() -> None:
    pairs = load_pairs("picturebook:test@20")
    names, matrix = label_matrix(pairs, "auto", never, seed=0)
    assert [[names[c] for c in np.flatnonzero(row)] for row in matrix] == [
        sorted(set(own)) for own in present(pairs.labels)
    ]


@pytest.mark.parametrize(
    ("pairs", "kind", "message"),
    [
        (
            TALKING,
            "source",
            r"here has no labels.*labels=NAME.*--labels concepts \(300 words.*--labels clusters",
        ),
        (source([["a dog"]], [[]]), "source", "here has no labels"),
        (source([["12 of the 34"]]), "concepts", "no caption has a content word"),
        (source([[]]), "clusters", "no image has a caption"),
        (TALKING, "cluster", "labels='cluster': unknown kind. Did you mean 'clusters'"),
    ],
)
def test_missing_labels_are_named(pairs: PairSet, kind: str, message: str) -> None:
    zero = np.zeros((len(pairs), 2), np.float32)
    with pytest.raises(SourceError, match=message):
        label_matrix(pairs, kind, lambda: (zero, zero), seed=0)
