"""Arrays, nested lists and tensors mean the same to every public function; other arguments are named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from itr_core.metrics import CosineSimilarity, label_map, precision_at_r, ranks, retrieval_metrics
from itr_core.metrics.arrays import as_array, as_embeddings, as_image_rows
from itr_core.metrics.bootstrap import image_bootstrap
from itr_core.metrics.recall import fold_ranks
from itr_core.metrics.relevance import first_answers, ndcg, true_ranks

RANDOM = np.random.default_rng(0)
SIMILARITY = RANDOM.random((4, 6)).astype(np.float32)
IMAGE_OF_CAPTION = np.array([0, 1, 2, 3, 3, 0])
RELEVANT = RANDOM.random((4, 6)) < 0.5
LABELS = np.eye(4, dtype=bool)
CALLS: dict[str, tuple[Callable[..., Any], list[np.ndarray]]] = {
    "retrieval_metrics": (retrieval_metrics, [SIMILARITY, IMAGE_OF_CAPTION]),
    "ranks": (ranks, [SIMILARITY, IMAGE_OF_CAPTION]),
    "fold_ranks": (lambda scores, own: fold_ranks(scores, own, folds=2), [SIMILARITY, IMAGE_OF_CAPTION]),
    "precision_at_r": (precision_at_r, [SIMILARITY, RELEVANT]),
    "true_ranks": (true_ranks, [SIMILARITY, RELEVANT]),
    "first_answers": (first_answers, [SIMILARITY, RELEVANT, ~RELEVANT]),
    "ndcg": (lambda scores, gain: ndcg([(scores, gain)]), [SIMILARITY, RELEVANT.astype(float)]),
    "label_map": (label_map, [SIMILARITY, LABELS, LABELS[[0, 1, 2, 3, 0, 1]]]),
    "image_bootstrap": (
        lambda values, own: image_bootstrap(values, own, 4, draws=20),
        [SIMILARITY[0], IMAGE_OF_CAPTION],
    ),
    "CosineSimilarity": (
        lambda images, captions: retrieval_metrics(CosineSimilarity(images, captions), IMAGE_OF_CAPTION),
        [SIMILARITY[:, :3], np.tile(SIMILARITY[:3, :3], (2, 1))],
    ),
}


def as_list(x: np.ndarray) -> list[Any]:
    values: list[Any] = x.tolist()
    return values


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("convert", [as_list, torch.from_numpy], ids=["list", "tensor"])
def test_lists_and_tensors_give_what_arrays_give(name: str, convert: Callable[..., Any]) -> None:
    function, arrays = CALLS[name]
    found, expected = function(*map(convert, arrays)), function(*arrays)
    if isinstance(expected, dict):
        assert found == pytest.approx(expected)
    else:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64])
def test_tensors_of_every_type_become_arrays(dtype: torch.dtype) -> None:
    tensor = torch.tensor([[1, 2], [3, 4]], dtype=dtype)
    if dtype.is_floating_point:
        tensor.requires_grad_()
    array = as_array(tensor)
    assert array.tolist() == [[1, 2], [3, 4]]
    assert array.dtype == (np.float32 if dtype.itemsize < 4 else str(dtype).removeprefix("torch."))


def test_arrays_and_tensors_are_not_copied() -> None:
    assert as_array(SIMILARITY) is SIMILARITY
    tensor = torch.zeros(3)
    as_array(tensor)[1] = 7
    assert tensor[1] == 7


def test_embeddings_are_matrices_of_floats() -> None:
    assert as_embeddings([[1, 0], [0, 1]]).dtype == np.float64
    assert as_embeddings(SIMILARITY) is SIMILARITY
    with pytest.raises(ValueError, match=r"x must be a matrix .* got shape \(3,\)"):
        as_embeddings([1.0, 2.0, 3.0], "x")
    with pytest.raises(ValueError, match=r"shape \(1, 1\) of complex128"):
        as_embeddings([[1j]])
    with pytest.raises(ValueError, match="inhomogeneous"):
        as_embeddings([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0, 1]], r"image_of_caption has shape \(1, 2\); expected \(2,\)"),
        ([0, 2], r"\[0, 2\), got 0 to 2"),
        ([0, -1], "got -1 to 0"),
        ([0.5, 1], "whole numbers, got float64"),
        ([0, np.nan], "whole numbers"),
        ([True, False], "whole numbers, got bool"),
    ],
)
def test_wrong_image_rows_are_named(values: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_image_rows(values, 2, 2)


def test_image_rows_may_be_whole_floats_or_a_tensor() -> None:
    for values in ([1.0, 0.0], torch.tensor([1, 0], dtype=torch.int32), np.array([1, 0], np.uint8)):
        assert as_image_rows(values, 2, 2).tolist() == [1, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: ranks(np.zeros(3), [0, 1, 2]),
        lambda: precision_at_r(np.zeros((3, 3)), np.zeros(3)),
        lambda: CosineSimilarity(np.zeros((3, 3)), np.zeros(3)),
        lambda: label_map(np.zeros((3, 3)), np.zeros(3), np.zeros(3)),
    ],
)
def test_what_is_no_matrix_is_named_with_its_shape(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"shapes? \(3,\)"):
        call()
