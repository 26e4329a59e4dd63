"""Online clusters: loops as reference, and the balance of the Sinkhorn algorithm."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.methods.components.online_clusters import UNUSED_STEPS, OnlineClusters, sinkhorn


def points(n: int, d: int = 8, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


# -- sinkhorn --------------------------------------------------------------------------------------------


def test_rows_sum_to_one_and_clusters_have_equal_size() -> None:
    scores = 3 * torch.randn(60, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    few, many = sinkhorn(scores), sinkhorn(scores, iterations=500)
    for labels in (few, many):
        assert (labels >= 0).all()
        torch.testing.assert_close(labels.sum(1), torch.ones(60, dtype=torch.float64))
    torch.testing.assert_close(many.sum(0), torch.full((5,), 12.0, dtype=torch.float64))


def test_equals_explicit_iterations() -> None:
    scores = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z = [[math.exp(value) for value in row] for row in scores.tolist()]
    for _ in range(3):
        columns = [sum(row[m] for row in z) for m in range(3)]
        z = [[row[m] / (columns[m] * 3) for m in range(3)] for row in z]
        z = [[value / (sum(row) * 4) for value in row] for row in z]
    z = [[value / sum(row) for value in row] for row in z]
    torch.testing.assert_close(sinkhorn(scores), torch.tensor(z, dtype=torch.float64))


def test_one_large_cluster_is_balanced() -> None:
    scores = torch.zeros(40, 4, dtype=torch.float64)
    scores[:, 0] = 10  # all prefer the first, some more than others
    scores[:, 1:] += torch.rand(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert scores.softmax(1).sum(0)[0] > 39
    assert sinkhorn(scores).sum(0).max() < 13


@pytest.mark.parametrize("n", [1, 50])
def test_finite_at_the_ends_of_the_cosine(n: int) -> None:
    scores = 20 * torch.where(torch.rand(n, 6, generator=torch.Generator().manual_seed(3)) < 0.5, -1.0, 1.0)
    labels = sinkhorn(scores)
    assert labels.isfinite().all()
    torch.testing.assert_close(labels.sum(1), torch.ones(n))


# -- prototypes ------------------------------------------------------------------------------------------


def test_prototypes_move_towards_their_points() -> None:
    clusters = OnlineClusters(3, 8)
    before, batch = clusters.prototypes.clone(), points(5)
    labels = F.one_hot(torch.tensor([0, 0, 2, 0, 2]), 3) * 0.6 + 0.1
    clusters.update(batch, labels, pool=batch)
    for m, members in ((0, [0, 1, 3]), (2, [2, 4])):
        mean = sum(batch[i] for i in members) / len(members)
        moved = 0.99 * before[m] + 0.01 * mean
        torch.testing.assert_close(clusters.prototypes[m], moved / moved.norm())
    torch.testing.assert_close(clusters.prototypes[1], before[1])
    assert clusters.unused.tolist() == [0, 1, 0]


def test_an_unused_prototype_is_replaced_by_a_point() -> None:
    clusters, batch = OnlineClusters(2, 8), points(6)
    first = F.one_hot(torch.zeros(6, dtype=torch.int64), 2).float()
    clusters.unused[1] = UNUSED_STEPS - 2
    before = clusters.prototypes[1].clone()
    clusters.update(batch, first, pool=batch)
    torch.testing.assert_close(clusters.prototypes[1], before)
    clusters.update(batch, first, pool=2 * batch)
    assert (clusters.prototypes[1] @ batch.T).max().item() == pytest.approx(1, abs=1e-6)
    assert clusters.unused.tolist() == [0, 0]


def test_recovers_separated_clusters() -> None:
    torch.manual_seed(0)
    centres = torch.eye(8)[:4]
    truth = torch.arange(64) % 4
    clusters = OnlineClusters(4, 8)
    for step in range(300):
        batch = F.normalize(centres[truth] + 0.1 * points(64, seed=step), dim=-1)
        clusters.update(batch, clusters.assign(batch), pool=batch)
    found = clusters.assign(batch).argmax(1)
    assert len({(int(a), int(b)) for a, b in zip(found, truth, strict=True)}) == 4


def test_no_gradients() -> None:
    clusters = OnlineClusters(3, 8)
    batch = points(4).requires_grad_()
    assert not clusters.assign(batch).requires_grad
    assert not list(clusters.parameters())
