"""Ranks and recall against a plain double loop, worked examples and what must not change them."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from itr_core.metrics import CosineSimilarity, label_map, precision_at_r, ranks, retrieval_metrics
from itr_core.metrics import similarity as similarity_blocks
from itr_core.metrics.recall import fold_ranks


def naive_ranks(similarity: np.ndarray, image_of_caption: np.ndarray) -> tuple[list[float], list[float]]:
    """The definition, rival by rival."""
    n_images, n_captions = similarity.shape

    def rank(own: float, rivals: list[float]) -> float:
        return 1 + sum(1.0 if s > own else 0.5 * (s == own) for s in rivals)

    t2i = [
        rank(
            similarity[image_of_caption[j], j],
            [similarity[i, j] for i in range(n_images) if i != image_of_caption[j]],
        )
        for j in range(n_captions)
    ]
    i2t = []
    for i in range(n_images):
        own = [similarity[i, j] for j in range(n_captions) if image_of_caption[j] == i]
        others = [similarity[i, j] for j in range(n_captions) if image_of_caption[j] != i]
        i2t.append(rank(max(own), others) if own else np.nan)
    return t2i, i2t


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n_images, n_captions = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    image_of_caption = draw(hnp.arrays(np.int64, n_captions, elements=st.integers(0, n_images - 1)))
    values = st.integers(-3, 3).map(lambda x: x / 2)  # few values: many ties
    return draw(hnp.arrays(np.float32, (n_images, n_captions), elements=values)), image_of_caption


@given(cases(), st.integers(1, 4))
def test_ranks_equal_the_double_loop_for_any_block_size(
    case: tuple[np.ndarray, np.ndarray], rows: int
) -> None:
    similarity, image_of_caption = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_blocks, "BLOCK_ROWS", rows)
        t2i, i2t = ranks(similarity, image_of_caption)
    expected = naive_ranks(similarity, image_of_caption)
    np.testing.assert_array_equal(t2i, expected[0])
    np.testing.assert_array_equal(i2t, expected[1])


@given(cases(), st.randoms(use_true_random=False))
def test_metrics_ignore_order_and_monotone_rescaling(
    case: tuple[np.ndarray, np.ndarray], random: Random
) -> None:
    similarity, image_of_caption = case
    images = np.array(random.sample(range(len(similarity)), len(similarity)))
    captions = np.array(random.sample(range(len(image_of_caption)), len(image_of_caption)))
    shuffled = 2 * similarity[np.ix_(images, captions)] + 1
    assert retrieval_metrics(shuffled, np.argsort(images)[image_of_caption[captions]]) == retrieval_metrics(
        similarity, image_of_caption
    )


def test_with_several_captions_the_best_counts_and_siblings_do_not() -> None:
    similarity = np.array([[0.9, 0.8, 0.85], [0.1, 0.2, 0.15]])
    result = retrieval_metrics(similarity, np.array([0, 0, 1]))
    assert result["i2t_r1"] == 50.0  # image 0 finds .9; image 1 prefers .2, which is not its own
    np.testing.assert_array_equal(ranks(similarity, np.array([0, 0, 1]))[1], [1, 2])


def test_collapsed_model_is_at_chance_not_perfect() -> None:
    result = retrieval_metrics(np.zeros((100, 500), np.float32), np.repeat(np.arange(100), 5))
    assert result["rsum"] == 0
    assert result["t2i_medr"] == 50.5


def test_images_without_captions_are_items_but_not_queries() -> None:
    similarity = np.array([[0.5], [0.9]])
    t2i, i2t = ranks(similarity, np.array([0]))
    assert t2i.tolist() == [2]
    assert i2t[0] == 1
    assert np.isnan(i2t[1])
    assert retrieval_metrics(similarity, np.array([0]))["i2t_r1"] == 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensor_equals_array(dtype: torch.dtype) -> None:
    similarity = torch.randn(30, 60, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    image_of_caption = np.arange(60) // 2
    assert retrieval_metrics(similarity, image_of_caption) == retrieval_metrics(
        similarity.detach().double().numpy(), image_of_caption
    )


def test_cosine_rows_equal_the_whole_matrix() -> None:
    rng = np.random.default_rng(0)
    images, captions = rng.standard_normal((600, 8)), rng.standard_normal((900, 8))
    image_of_caption = rng.integers(0, 600, 900)
    assert retrieval_metrics(CosineSimilarity(images, captions), image_of_caption) == retrieval_metrics(
        images @ captions.T, image_of_caption
    )


def test_random_similarity_is_at_chance() -> None:
    similarity = np.random.default_rng(0).random((200, 1000))
    result = retrieval_metrics(similarity, np.arange(1000) // 5)
    assert 3 < result["t2i_r10"] < 7  # 5 expected, its standard deviation 0.7
    assert 90 < result["t2i_medr"] < 110


@pytest.mark.parametrize(
    ("similarity", "image_of_caption", "message"),
    [
        (np.array([[0.1, np.nan]]), [0, 0], "NaN in rows 0 to 0"),
        (np.zeros((2, 3)), [0, 1], r"shape \(2,\); expected \(3,\)"),
        (np.zeros((2, 2)), [0, 2], r"\[0, 2\), got 0 to 2"),
        (np.zeros((2, 2)), [-1, 0], "got -1 to 0"),
        (np.zeros((2, 0)), [], "no captions"),
    ],
)
def test_bad_input_is_named(similarity: np.ndarray, image_of_caption: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(similarity, np.array(image_of_caption))


# -- label mAP -------------------------------------------------------------------------------------------


def published_map(similarity: np.ndarray, query: np.ndarray, item: np.ndarray, window: int) -> float:
    """Query by query and rank by rank, as CRCGS's code counts; queries without any right answer left out."""
    values = []
    for scores, own in zip(similarity, query, strict=True):
        right = [bool((own & other).any()) for other in item]
        if not any(right):
            continue
        order = sorted(range(len(item)), key=lambda index: -scores[index])  # stable
        hits, total = 0, 0.0
        for rank, index in enumerate(order[:window], 1):
            if right[index]:
                hits += 1
                total += hits / rank
        values.append(total / hits if hits else 0.0)
    return 100 * sum(values) / len(values)


@given(st.integers(0, 9999), st.integers(1, 7), st.integers(1, 9), st.integers(1, 4))
def test_label_map_equals_the_loop_in_both_windows(seed: int, q: int, n: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(-3, 3, (q, n))  # few values: many ties
    query, item = rng.random((q, 3)) < 0.4, rng.random((n, 3)) < 0.4
    query[0, 0] = item[0, 0] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_blocks, "BLOCK_ROWS", rows)
        found = label_map(similarity, query, item)
    assert found == pytest.approx(
        {
            "map@n_query": published_map(similarity, query, item, q),
            "map@all": published_map(similarity, query, item, n),
        }
    )
    assert label_map(similarity.astype(np.float32), query, item) == found


def test_label_map_windows_differ_if_relevant_items_rank_low() -> None:
    labels = np.eye(2, dtype=bool)
    found = label_map(np.array([[4, 3, 2, 1], [4, 3, 2, 1]]), labels, labels[[0, 0, 1, 1]])
    assert found["map@n_query"] == 50.0  # the second query finds nothing among the first two
    assert found["map@all"] == pytest.approx(100 * (1 + (1 / 3 + 2 / 4) / 2) / 2)


@pytest.mark.parametrize(
    ("similarity", "query", "item", "message"),
    [
        (np.zeros((2, 3)), 2, 2, "2 queries and 2 items, a similarity of 2 by 3"),
        (np.full((1, 2), np.nan), 1, 2, "NaN"),
    ],
)
def test_label_map_names_bad_input(similarity: np.ndarray, query: int, item: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_map(similarity, np.ones((query, 1), bool), np.ones((item, 1), bool))
    with pytest.raises(ValueError, match="No query shares a label"):
        label_map(np.zeros((1, 2)), np.array([[True, False]]), np.array([[False, True]] * 2))


# -- precision at R --------------------------------------------------------------------------------------


@given(st.integers(0, 9999), st.integers(1, 9), st.integers(1, 12))
def test_precision_at_r_equals_the_loop(seed: int, q: int, n: int) -> None:
    random = np.random.default_rng(seed)
    similarity, relevant = random.permutation(q * n).reshape(q, n), random.random((q, n)) < 0.3
    ap, precision = precision_at_r(similarity, relevant)
    for row in range(q):
        best, count = np.argsort(-similarity[row], kind="stable"), relevant[row].sum()
        if not count:
            assert np.isnan([ap[row], precision[row]]).all()
            continue
        right = [bool(relevant[row, item]) for item in best[:count]]
        shares = [sum(right[: place + 1]) / (place + 1) for place in range(count)]
        assert ap[row] == pytest.approx(sum(s for s, hit in zip(shares, right, strict=True) if hit) / count)
        assert precision[row] == pytest.approx(sum(right) / count)


def test_precision_at_r_with_one_relevant_item_is_recall_at_1() -> None:
    similarity = np.random.default_rng(0).random((300, 300))
    ap, precision = precision_at_r(similarity, np.eye(300, dtype=bool))
    assert np.array_equal(ap, ranks(similarity.T, np.arange(300))[0] == 1)
    assert np.array_equal(ap, precision)
    with pytest.raises(ValueError, match="relevance"):
        precision_at_r(similarity, np.eye(299, dtype=bool))


# -- folds -----------------------------------------------------------------------------------------------


@given(st.integers(0, 9999), st.integers(1, 4), st.integers(1, 4))
def test_folds_are_ranked_separately(seed: int, folds: int, size: int) -> None:
    random = np.random.default_rng(seed)
    n = folds * size
    image_of_caption = random.permutation(
        np.concatenate([np.arange(n), random.integers(0, n, 5)])
    )  # in no order
    images, captions = random.standard_normal((n, 3)), random.standard_normal((len(image_of_caption), 3))
    t2i, i2t = fold_ranks(CosineSimilarity(images, captions), image_of_caption, folds)
    for start in range(0, n, size):
        rows, columns = (
            np.arange(start, start + size),
            (image_of_caption >= start) & (image_of_caption < start + size),
        )
        expected = ranks(images[rows] @ captions[columns].T, image_of_caption[columns] - start)
        np.testing.assert_array_equal(t2i[columns], expected[0])
        np.testing.assert_array_equal(i2t[rows], expected[1])


def test_folds_must_be_equal() -> None:
    with pytest.raises(ValueError, match="7 images cannot be divided into 5"):
        fold_ranks(np.zeros((7, 7)), np.arange(7))
