"""Measures under a fuller truth: against trec_eval, scikit-learn, plain loops, and the given pairs alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from itr_core.metrics import precision_at_r, ranks
from itr_core.metrics import similarity as similarity_blocks
from itr_core.metrics.precision import label_precision
from itr_core.metrics.relevance import first_answers, ndcg, true_ranks
from itr_core.metrics.similarity import LazySimilarity

Case = tuple[np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn, ties: bool) -> Case:
    """A similarity (q, n) and a truth in which some queries have no right answer."""
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    q, n = draw(st.integers(1, 7)), draw(st.integers(1, 15))
    similarity = random.integers(-2, 3, (q, n)) if ties else random.permutation(q * n).reshape(q, n)
    return similarity.astype(np.float32), random.random((q, n)) < 0.3


def trec(case: Case, gain: np.ndarray, measure: str, k: int | None = None) -> np.ndarray:
    """What trec_eval says of every query (q,); NaN without a right answer, which it leaves out."""
    ir = pytest.importorskip("ir_measures", reason="ir-measures is in the dev extra")
    similarity, _ = case
    found = np.full(len(similarity), np.nan)
    run = [ir.ScoredDoc(str(q), str(item), float(score)) for (q, item), score in np.ndenumerate(similarity)]
    true = [ir.Qrel(str(q), str(item), int(value)) for (q, item), value in np.ndenumerate(gain)]
    # Not `ir.parse_measure("nDCG@10")`: it needs `ast.Num`, which Python 3.14 does not have.
    wanted = getattr(ir, measure) if k is None else getattr(ir, measure) @ k
    for metric in ir.iter_calc([wanted], true, run):
        if gain[int(metric.query_id)].any():
            found[int(metric.query_id)] = metric.value
    return found


@given(cases(ties=False))
def test_everything_equals_trec_eval(case: Case) -> None:
    similarity, relevant = case
    rank = true_ranks(similarity, relevant)
    for k in (1, 5, 10):
        hit = np.where(np.isnan(rank), np.nan, rank <= k)
        np.testing.assert_allclose(hit, trec(case, relevant, "Success", k))
    np.testing.assert_allclose(precision_at_r(similarity, relevant)[1], trec(case, relevant, "Rprec"))
    labels = np.eye(relevant.shape[1], dtype=bool)  # a label for each item: a query may have several
    np.testing.assert_allclose(
        label_precision(similarity, relevant, labels)["map@all"], trec(case, relevant, "AP")
    )
    gain = relevant * np.random.default_rng(0).integers(1, 9, relevant.shape)
    np.testing.assert_allclose(ndcg([(similarity, gain)]), trec(case, gain, "nDCG", 10))


@given(cases(ties=True), st.integers(1, 4))
def test_true_ranks_equal_the_loop_for_any_block_size(case: Case, rows: int) -> None:
    similarity, relevant = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_blocks, "BLOCK_ROWS", rows)
        found = true_ranks(similarity, LazySimilarity(relevant.shape, lambda rows: relevant[rows]))
    for own, scores, true in zip(found, similarity, relevant, strict=True):
        if not true.any():
            assert np.isnan(own)
            continue
        best = max(scores[true])
        assert own == 1 + sum(1.0 if s > best else 0.5 * (s == best) for s in scores[~true])


@given(cases(ties=True))
def test_true_ranks_equal_ranks_if_only_the_pairs_are_relevant(case: Case) -> None:
    similarity, _ = case
    image_of_caption = np.random.default_rng(0).integers(0, len(similarity), similarity.shape[1])
    pairs = image_of_caption == np.arange(len(similarity))[:, None]
    t2i, i2t = ranks(similarity, image_of_caption)
    np.testing.assert_array_equal(true_ranks(similarity, pairs), i2t)
    np.testing.assert_array_equal(true_ranks(similarity.T, pairs.T), t2i)


def test_first_answers_distinguish_a_false_negative_from_a_mistake() -> None:
    similarity = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.2, 0.9, 0.9]])
    relevant = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=bool)
    given_pairs = np.eye(3, dtype=bool)
    true, pair = first_answers(similarity, relevant, given_pairs)
    assert pair.tolist() == [True, False, False]
    assert true.tolist() == [True, True, False]  # the third finds item 1 before its equal


@given(cases(ties=True), st.integers(1, 6), st.integers(1, 12))
def test_ndcg_in_parts_equals_the_whole_and_scikit_learn(case: Case, part: int, k: int) -> None:
    similarity, relevant = case
    gain = relevant * np.random.default_rng(0).random(relevant.shape).astype(np.float32)
    cuts = range(0, similarity.shape[1], part)
    parts = ((similarity[:, cut : cut + part], gain[:, cut : cut + part]) for cut in cuts)
    found = ndcg(parts, k)
    np.testing.assert_allclose(found, ndcg([(similarity, gain)], k))
    # scikit-learn has no order among equals: make ours, that of the items, explicit
    ordered = similarity - np.arange(similarity.shape[1]) / 100
    for row, own in enumerate(found):
        if gain[row].any() and similarity.shape[1] > 1:
            assert own == pytest.approx(ndcg_score(gain[row : row + 1], ordered[row : row + 1], k=k))
        elif not gain[row].any():
            assert np.isnan(own)


def test_ndcg_of_the_worst_and_the_best_order() -> None:
    gain = np.array([[0.5, 1.0, 0.0]])
    assert ndcg([(gain, gain)]) == [1]
    assert ndcg([(-gain, gain)])[0] == pytest.approx((0.5 / np.log2(3) + 1 / 2) / (1 + 0.5 / np.log2(3)))
    assert ndcg([(-gain, gain)], k=1) == [0]


def test_bad_input_is_named() -> None:
    square = np.zeros((2, 2), bool)
    for measure in (true_ranks, lambda s, t: first_answers(s, t, square), lambda s, t: ndcg([(s, t)])):
        with pytest.raises(ValueError, match=r"similarity is \(2, 3\), truth \(2, 2\)"):
            measure(np.zeros((2, 3)), square)
    with pytest.raises(ValueError, match="NaN"):
        true_ranks(np.full((2, 2), np.nan), square)
    with pytest.raises(ValueError, match="no items to rank"):
        ndcg([])
