"""Wrong results at rank 1 against a loop over all queries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.misses import wrong_answers
from analysis.misses.wrong_answers import first_wrong_answers


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def by_loop(
    images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray
) -> list[tuple[str, int, int, int]]:
    """Return (direction, query, found, rank of the right answer); random vectors have no ties."""
    scores, found = images @ texts.T, []
    for caption in range(len(texts)):
        order = list(np.argsort(-scores[:, caption]))
        if order[0] != image_of_caption[caption]:
            found.append(("t2i", caption, order[0], 1 + order.index(image_of_caption[caption])))
    for image in range(len(images)):
        if image in image_of_caption:
            order = list(np.argsort(-scores[image]))
            others = [caption for caption in order if image_of_caption[caption] != image]
            best = next(caption for caption in order if image_of_caption[caption] == image)
            if image_of_caption[order[0]] != image:
                ahead = sum(scores[image, other] > scores[image, best] for other in others)
                found.append(("i2t", image, others[0], 1 + ahead))
    return found


@given(st.integers(0, 9999), st.integers(1, 6), st.integers(1, 15), st.sampled_from([1, 40, 10_000]))
def test_wrong_results_are_those_of_the_loop(seed: int, n: int, m: int, cells: int) -> None:
    rng = np.random.default_rng(seed)
    images, texts = unit(rng.normal(size=(n, 4))), unit(rng.normal(size=(m, 4)))
    image_of_caption = rng.integers(0, n, m)  # in no order; some images have no captions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wrong_answers, "_BLOCK", cells)
        table = first_wrong_answers(images, texts, image_of_caption)
    assert [
        tuple(row) for row in table[["direction", "query", "found", "rank"]].itertuples(index=False)
    ] == by_loop(images, texts, image_of_caption)
    scores = images @ texts.T
    first_image, first_caption = scores.argmax(0), scores.argmax(1)[np.isin(np.arange(n), image_of_caption)]
    for row in table.to_dict("records"):
        query, found = row["query"], row["found"]
        firsts = first_image if row["direction"] == "t2i" else first_caption
        assert row["firsts"] == (firsts == found).sum()
        if row["direction"] == "t2i":
            gap = scores[found, query] - scores[image_of_caption[query], query]
        else:
            gap = scores[query, found] - scores[query, image_of_caption == query].max()
        assert row["margin"] == pytest.approx(gap, abs=1e-6)


def test_another_image_with_the_same_score_makes_a_miss() -> None:
    images = unit(np.array([[1, 0], [1, 0]]))
    table = first_wrong_answers(images, images, np.arange(2))
    assert table[["direction", "query", "found", "rank", "margin"]].to_numpy().tolist() == [
        ["t2i", 0, 1, 1.5, 0],
        ["t2i", 1, 0, 1.5, 0],
        ["i2t", 0, 1, 1.5, 0],
        ["i2t", 1, 0, 1.5, 0],
    ]


def test_a_perfect_model_has_no_misses() -> None:
    table = first_wrong_answers(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), np.arange(3))
    assert table.empty
    assert list(table) == ["direction", "query", "found", "rank", "margin", "firsts"]
