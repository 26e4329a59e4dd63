"""Maps of embeddings in two dimensions, by PCA and by UMAP.

UMAP is McInnes, Healy & Melville, arXiv:1802.03426, here with cosine distance. It starts from the PCA map,
so that a page can show PCA first and move the points to their places in UMAP. An informative start also
preserves more of the global structure (Kobak & Linderman, Nature Biotechnology 39, 2021). The nearest
neighbours are exact. At up to 30,000 rows this takes no longer than umap's approximation, needs no
compilation, and can be cancelled after every block.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from shutil import disk_usage

import numpy as np

from analysis.blocks import blocks
from analysis.neighbours import BLOCK_ROWS, nearest
from itr_core.metrics.sampling import sample_rows
from itr_core.system.files import cache_dir
from itr_core.system.imports import import_lock
from itr_core.system.progress import Progress

MIN_ROWS = 10
"""Fewest rows for UMAP; fewer have no neighbourhoods, and their map is that of PCA."""
EQUAL = 1e-4
"""Points of a PCA map whose range is smaller are at one place; unit vectors span about 1."""
_COMPILED = 10_000_000
"""Bytes that are enough for umap's compiled functions."""
MAX_ROWS = 30_000
"""Most rows for UMAP, since exact neighbours take quadratic time. Further rows are placed afterwards."""
NEAREST = 5
"""Points of a map that determine the place of a new one."""


@dataclass(frozen=True)
class Map:
    """Embeddings and their points in the plane.

    Attributes:
        rows: (n, d) unit vectors.
        points: (n, 2) float32.
    """

    rows: np.ndarray
    points: np.ndarray

    @property
    def equal(self) -> bool:
        """Whether several embeddings are all equal, so that their points mean nothing."""
        return len(self.rows) > 1 and bool(np.ptp(self.rows, axis=0).max() < EQUAL)

    def place(self, new: np.ndarray) -> np.ndarray:
        """Place new embeddings on the map.

        A new point is the mean of the points of its five nearest rows, weighted by 1 / squared distance
        (Shepard, A two-dimensional interpolation function, 1968), so a row of the map is placed at its own
        point. UMAP's own `transform` needs the fitted object, which can only be stored as a pickle.

        Args:
            new: (q, d) unit vectors of the same modality as `rows`; otherwise the modality gap would
                determine the neighbours.

        Returns:
            (q, 2) float32.
        """
        indices, squared = nearest(self.rows, new, min(NEAREST, len(self.rows)))
        weight = 1 / (squared + 1e-9)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("qk,qkc->qc", weight, self.points[indices]).astype(np.float32)


def centred(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Subtract the mean of each modality and normalise again, which removes the modality gap.

    With the gap, images and captions are two separate clouds on a map, which shows a property of the model
    but hides how the clouds correspond.

    Args:
        images: (n, d) unit vectors.
        texts: (m, d) unit vectors.

    Returns:
        (n + m, d) unit vectors, images first.
    """
    moved = [each - each.mean(axis=0) for each in (images, texts) if len(each)]
    x = np.concatenate(moved)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def pca_map(x: np.ndarray) -> np.ndarray:
    """Project on the first two principal components.

    The sign of a component makes its largest entry positive. If there are too few rows or columns for a
    component, its coordinate is 0.

    Args:
        x: (n, d).

    Returns:
        (n, 2) float32, centred.
    """
    mean = x.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((x.shape[1], x.shape[1]))
    for block in blocks(len(x), BLOCK_ROWS):
        part = x[block] - mean
        covariance += part.T @ part
    axes = np.linalg.eigh(covariance)[1][:, :-3:-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    points = np.zeros((len(x), 2), np.float32)
    for block in blocks(len(x), BLOCK_ROWS):
        points[block, : axes.shape[1]] = (x[block] - mean) @ axes
    return points


def umap_map(
    x: np.ndarray,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
    progress: Progress | None = None,
) -> np.ndarray:
    """Compute UMAP of the embeddings x (n, d) of one model: points (n, 2) float32. See `aligned_maps`."""
    [points] = aligned_maps([x], n_neighbors=n_neighbors, min_dist=min_dist, seed=seed, progress=progress)
    return points


def aligned_maps(
    models: Sequence[np.ndarray],
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """Compute UMAP of several models' embeddings of the same items, aligned with each other.

    All models are laid out together: the neighbours of an item are its nearest items by its own model, and
    the same item in the other models. This is the idea of umap's AlignedUMAP, which cannot be cancelled. For
    two models of 1,000 images and captions, AlignedUMAP took 13 s of processor time and this function 2.5 s.
    The median distance of an item's two points was 0.03 of the map's spread with AlignedUMAP, 0.004 here,
    and 0.2 for separate maps rotated onto each other. The maps are as faithful (trustworthiness 0.978) as
    separate ones (0.978; AlignedUMAP 0.975).

    Args:
        models: one (n, d) array of unit vectors per model, with the same items in the same order; d may
            differ.
        n_neighbors: number of neighbours; small values show local structure, large values global structure.
            At most n - 1 are used.
        min_dist: smallest distance of points, in the units of the map.
        seed: the same seed gives the same map on the same machine.
        progress: called after every block of neighbours and every epoch; an exception that it raises ends
            the work. Compilation, some seconds at the first map on a machine, cannot be interrupted.

    Returns:
        One (n, 2) float32 array per model. Fewer than 10 items keep their PCA map, and so do equal
        embeddings. Of more than 30,000 items, a seeded sample is mapped, and the others are placed as by
        `Map.place`.
    """
    n = len(models[0])
    if n > MAX_ROWS:
        sample = sample_rows(n, MAX_ROWS, seed)
        maps = aligned_maps(
            [x[sample] for x in models],
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            seed=seed,
            progress=progress,
        )
        return [Map(x[sample], points).place(x) for x, points in zip(models, maps, strict=True)]
    start = [pca_map(x) for x in models]
    start = [start[0], *(procrustes(points, start[0]) for points in start[1:])]
    both = np.concatenate(start)
    flat = np.ptp(both, axis=0) < EQUAL
    if n < MIN_ROWS or flat.all():
        return start
    # umap divides the start by its range, which is 0 if all points are on one line.
    both[:, flat] += EQUAL * np.random.default_rng(seed).random((len(both), 1), dtype=np.float32)

    report = progress or (lambda done, total: None)
    n_blocks = len(models) * len(list(blocks(n, BLOCK_ROWS)))
    epochs = 500 if len(models) * n <= 10_000 else 200  # the defaults of umap
    steps = iter(range(1, n_blocks + 1))
    graphs = [
        nearest(x, x, min(n_neighbors, n - 1), lambda: report(next(steps), n_blocks + epochs)) for x in models
    ]
    points = _optimised(
        *_joined(graphs),
        both,
        min_dist=min_dist,
        epochs=epochs,
        seed=seed,
        on_epoch=lambda done: report(n_blocks + done, n_blocks + epochs),
    )
    return np.split(points, len(models))


def procrustes(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Rotate, reflect, scale and shift points (n, 2) to fit the points `onto` (n, 2) by least squares."""
    from scipy.linalg import orthogonal_procrustes

    a, b = points - points.mean(axis=0), onto - onto.mean(axis=0)
    rotation, scale = orthogonal_procrustes(a, b)
    size = (a * a).sum()
    return (a @ rotation * (scale / size if size else 1) + onto.mean(axis=0)).astype(np.float32)


def _joined(graphs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Join the neighbour graphs (n, k) of several models into one (models x n, k + models - 1).

    An item is at distance 0 from itself in all other models. A larger distance would let the maps differ
    more, but clusters that are far from all others would drift apart.
    """
    n = len(graphs[0][0])
    items = np.arange(n, dtype=np.int32)[:, None]
    indices, squared = [], []
    for model, (neighbours, distances) in enumerate(graphs):
        copies = [items + other * n for other in range(len(graphs)) if other != model]
        indices.append(np.hstack([neighbours[:, :1] + model * n, *copies, neighbours[:, 1:] + model * n]))
        squared.append(np.hstack([np.zeros((n, len(graphs)), np.float32), distances[:, 1:]]))
    return np.concatenate(indices), np.concatenate(squared)


def _optimised(
    indices: np.ndarray,
    squared: np.ndarray,
    start: np.ndarray,
    *,
    min_dist: float,
    epochs: int,
    seed: int,
    on_epoch: Callable[[int], None],
) -> np.ndarray:
    """UMAP of a neighbour graph (n, k) from the points `start` (n, 2)."""
    import torch

    with import_lock:
        import umap

    _keep_compiled()
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "precomputed_knn", UserWarning)  # no `transform`: see `Map.place`
        fitted = umap.UMAP(
            n_neighbors=indices.shape[1],
            min_dist=min_dist,
            init=start,
            n_epochs=epochs,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(indices, squared / 2, None),  # 1 - cosine of unit vectors
            tqdm_kwds={
                "disable": False,
                "bar_format": "{n}",
                "mininterval": 0,
                "miniters": 1,
                "file": _Epochs(on_epoch),
            },
        )
        try:
            return fitted.fit_transform(start)  # with a neighbour graph, umap only reads the number of rows
        except BaseException:  # of `on_epoch`
            from tqdm.auto import tqdm

            # tqdm keeps its lock, for which all later progress bars would wait.
            with suppress(AssertionError, RuntimeError):  # the error came from elsewhere
                tqdm.get_lock().release()
            raise
        finally:
            torch.set_num_threads(threads)  # numba sets the number that it shares with torch to all cores


@cache
def _keep_compiled() -> None:
    """Let numba keep umap's compiled functions on disk: compiling takes seconds in every process."""
    import numba

    with import_lock:
        from umap import layouts, umap_

    with suppress(OSError, RuntimeError, AttributeError):  # no cache folder, or other functions in a new umap
        folder = cache_dir("numba")
        if disk_usage(folder).free < _COMPILED:  # numba ends with an error if it cannot write
            return
        setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010 - mypy does not know it
        for function in (
            umap_.smooth_knn_dist,
            umap_.compute_membership_strengths,
            layouts._nb_optimize_layout_euclidean_single_epoch,
        ):
            function.enable_caching()


class _Epochs:
    """File of umap's progress bar, which umap has no other callback for."""

    def __init__(self, on_epoch: Callable[[int], None]) -> None:
        self.on_epoch = on_epoch

    def write(self, text: str) -> None:
        """Report the number of the epoch."""
        if done := re.search(r"\d+", text):
            self.on_epoch(int(done[0]))

    def flush(self) -> None:
        """Do nothing: `write` reports at once."""
