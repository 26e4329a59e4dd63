"""Maps: PCA against scikit-learn, properties of UMAP, and the placement of new points."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from tqdm.auto import tqdm

from analysis import projection
from analysis.projection import Map, aligned_maps, centred, pca_map, procrustes, umap_map


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Return three clusters of 60 unit vectors in 16 dimensions, and the cluster of each."""
    random = np.random.default_rng(0)
    cluster = np.repeat(np.arange(3), 60)
    return unit(random.normal(size=(3, 16))[cluster] + 0.3 * random.normal(size=(180, 16))), cluster


@pytest.fixture(scope="module")
def mapped(clusters: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return umap_map(clusters[0])


# ---- PCA


def test_pca_equals_scikit_learn_except_for_signs(clusters: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = pca_map(clusters[0]), PCA(2).fit_transform(clusters[0])
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-5)
    assert ours.dtype == np.float32


def test_pca_does_not_depend_on_the_order_of_rows(clusters: tuple[np.ndarray, np.ndarray]) -> None:
    order = np.random.default_rng(1).permutation(180)
    np.testing.assert_allclose(pca_map(clusters[0][order]), pca_map(clusters[0])[order], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (2, 2)])
def test_pca_of_few_rows_or_columns_is_finite(shape: tuple[int, int]) -> None:
    points = pca_map(np.eye(4, dtype=np.float32)[: shape[0], : shape[1]])
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_centring_removes_the_modality_gap() -> None:
    random = np.random.default_rng(0)
    images, texts = unit(random.normal(size=(50, 8)) + 2), unit(random.normal(size=(80, 8)) - 2)
    x = centred(images, texts)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    gap = np.linalg.norm(x[:50].mean(axis=0) - x[50:].mean(axis=0))
    assert gap < 0.2 * np.linalg.norm(images.mean(axis=0) - texts.mean(axis=0))
    own = images[7] - images.mean(axis=0)
    np.testing.assert_allclose(x[7], own / np.linalg.norm(own), atol=1e-5)


# ---- UMAP


def test_the_nearest_point_on_the_map_is_of_the_same_cluster(
    clusters: tuple[np.ndarray, np.ndarray], mapped: np.ndarray
) -> None:
    distance = np.linalg.norm(mapped[:, None] - mapped[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    cluster = clusters[1]
    assert (cluster[distance.argmin(axis=1)] == cluster).all()
    assert mapped.dtype == np.float32


def test_the_same_seed_gives_the_same_map(
    clusters: tuple[np.ndarray, np.ndarray], mapped: np.ndarray
) -> None:
    np.testing.assert_array_equal(umap_map(clusters[0]), mapped)
    assert not np.array_equal(umap_map(clusters[0], seed=1), mapped)


def test_a_map_leaves_the_threads_of_torch_as_they_were() -> None:
    # A process of its own: numba sets the number when it starts its threads, once per process.
    program = (
        "import numpy as np, torch\nfrom analysis.projection import umap_map\n"
        "umap_map(np.random.default_rng(0).random((40, 8), dtype=np.float32))\n"
        "print(torch.get_num_threads())"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_progress_increases_to_the_total(clusters: tuple[np.ndarray, np.ndarray]) -> None:
    calls: list[tuple[int, int]] = []
    umap_map(clusters[0], progress=lambda done, total: calls.append((done, total)))
    steps = [done for done, _ in calls]
    assert steps == sorted(steps)
    assert len(set(steps)) > 400
    assert calls[-1] == (501, 501)  # one block of neighbours, 500 epochs


@pytest.mark.parametrize("step", [1, 40])
def test_an_exception_of_progress_ends_the_work(clusters: tuple[np.ndarray, np.ndarray], step: int) -> None:
    class StopError(Exception):
        pass

    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done >= step:
            raise StopError

    with pytest.raises(StopError):
        umap_map(clusters[0], progress=stop)
    with ThreadPoolExecutor(1) as other:  # a lock that this thread had kept would make all other threads wait
        assert other.submit(lambda: list(tqdm(range(3), file=StringIO()))).result(timeout=20) == [0, 1, 2]
    assert max(seen) <= step + 1


@pytest.mark.parametrize("count", [1, 2, 9, 11])
def test_maps_of_few_points_are_finite(count: int) -> None:
    points = umap_map(unit(np.random.default_rng(0).normal(size=(count, 5))))
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()


def test_maps_of_equal_rows_are_finite() -> None:
    points = umap_map(np.repeat(np.eye(4, dtype=np.float32), 6, axis=0))
    assert np.isfinite(points).all()


def test_of_many_rows_a_sample_is_mapped_and_the_others_are_placed(
    clusters: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "MAX_ROWS", 90)
    points = umap_map(clusters[0])
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (clusters[1][distance.argmin(axis=1)] == clusters[1]).all()


# ---- several models


def test_aligned_maps_agree_and_stay_faithful_to_each_model(
    clusters: tuple[np.ndarray, np.ndarray], mapped: np.ndarray
) -> None:
    """The other model has other dimensions and swaps three pairs of items between clusters."""
    x = clusters[0]
    order = np.arange(180)
    for i, j in ((0, 60), (1, 61), (62, 120)):
        order[[i, j]] = order[[j, i]]
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(24, 16)))[0]
    other = unit(x[order] @ rotation.T)
    first, second = aligned_maps([x, other])

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.median(np.linalg.norm(a - b, axis=1)))

    assert apart(first, second) < 0.3 * apart(mapped, procrustes(umap_map(other), mapped))
    for points, model in ((first, x), (second, other)):
        alone = trustworthiness(model, umap_map(model), n_neighbors=10, metric="cosine")
        assert trustworthiness(model, points, n_neighbors=10, metric="cosine") > alone - 0.03


def test_procrustes_undoes_rotation_reflection_scaling_and_shift() -> None:
    points = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    moved = 3 * points @ np.array([[0, 1], [1, 0]]) + [5, -7]
    np.testing.assert_allclose(procrustes(moved, points), points, atol=1e-5)
    np.testing.assert_allclose(
        procrustes(np.ones((30, 2)), points), np.tile(points.mean(0), (30, 1)), atol=1e-6
    )


# ---- new points


def test_a_row_of_the_map_is_placed_at_its_own_point(
    clusters: tuple[np.ndarray, np.ndarray], mapped: np.ndarray
) -> None:
    placed = Map(clusters[0], mapped).place(clusters[0][::7])
    np.testing.assert_allclose(placed, mapped[::7], atol=1e-3)


def test_a_new_row_is_placed_in_its_cluster(
    clusters: tuple[np.ndarray, np.ndarray], mapped: np.ndarray
) -> None:
    x, cluster = clusters
    held_out = np.arange(0, 180, 9)
    kept = np.delete(np.arange(180), held_out)
    placed = Map(x[kept], mapped[kept]).place(x[held_out])
    centres = np.stack([mapped[cluster == each].mean(axis=0) for each in range(3)])
    nearest = np.linalg.norm(placed[:, None] - centres, axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(nearest, cluster[held_out])


def test_places_are_weighted_by_inverse_squared_distances() -> None:
    """At 60 and 30 degrees from two rows: squared distances 2 - 2 cos are 1 and 2 - sqrt 3."""
    between = np.array([[0.5, np.sqrt(0.75)]], np.float32)
    placed = Map(np.eye(2, dtype=np.float32), np.array([[0, 0], [1, 10]], np.float32)).place(between)
    share = (1 / (2 - np.sqrt(3))) / (1 + 1 / (2 - np.sqrt(3)))
    np.testing.assert_allclose(placed, [[share, 10 * share]], atol=1e-5)


def test_placing_accepts_any_number_of_rows(
    clusters: tuple[np.ndarray, np.ndarray], mapped: np.ndarray
) -> None:
    place: Callable[[np.ndarray], np.ndarray] = Map(clusters[0], mapped).place
    assert place(clusters[0][:0]).shape == (0, 2)
    np.testing.assert_allclose(place(clusters[0])[[600 % 180]], place(clusters[0][[60]]), atol=1e-4)
