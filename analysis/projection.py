"""Maps: embeddings in two dimensions, by PCA at once and by UMAP in a while.

UMAP is McInnes, Healy & Melville, arXiv:1802.03426, here on cosines. It starts from the PCA map, so that the
one grows out of the other before a reader's eyes (Kobak & Linderman, Nature Biotechnology 39, 2021: with an
informative start it also keeps more of the global structure). Its neighbours are exact, found block by block:
at our sizes this takes no longer than umap's approximation, spares compiling that, and can be cancelled.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from itr_core.system.progress import Progress

BLOCK = 512
FEWEST = 10
MOST = 30_000
"""Rows that UMAP is given: exact neighbours take the square of their number. More are placed afterwards."""
NEAREST = 5
"""Stored points among which a new one is placed."""


@dataclass(frozen=True)
class Map:
    """Where embeddings lie in the plane: rows (n, d) unit norm, points (n, 2) float32."""

    rows: np.ndarray
    points: np.ndarray

    def place(self, new: np.ndarray) -> np.ndarray:
        """Where new embeddings (q, d), unit norm, belong: (q, 2) float32.

        Each comes to the mean of its five nearest rows' points, weighted by 1 / squared distance (Shepard,
        A two-dimensional interpolation function, 1968), so that a row of the map lands on its own point.
        UMAP's own `transform` would need its fitted object, which can be stored only as a pickle. `new` is of
        the same modality as `rows`: the neighbours of a caption are captions, the gap between the modalities
        moves no caption among the images.
        """
        indices, squared = _nearest(self.rows, new, min(NEAREST, len(self.rows)))
        weight = 1 / (squared + 1e-9)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("qk,qkc->qc", weight, self.points[indices]).astype(np.float32)


def centred(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Both modalities (n + m, d), unit norm, each less its own mean: what they share, without the gap.

    The modality gap makes images and captions two clouds that do not touch; this is true of the model, and
    hides how the clouds correspond.
    """
    moved = [each - each.mean(axis=0) for each in (images, texts) if len(each)]
    x = np.concatenate(moved)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def pca_map(x: np.ndarray) -> np.ndarray:
    """The two directions in which x (n, d) varies most: points (n, 2) float32, centred.

    The sign of a direction makes its largest component positive. No direction, for want of rows or columns,
    is 0.
    """
    mean = x.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((x.shape[1], x.shape[1]))
    for block in _blocks(len(x)):
        part = x[block] - mean
        covariance += part.T @ part
    axes = np.linalg.eigh(covariance)[1][:, :-3:-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    points = np.zeros((len(x), 2), np.float32)
    for block in _blocks(len(x)):
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
    """UMAP of one model's embeddings x (n, d): points (n, 2) float32. See `aligned_maps`."""
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
    """UMAP of several models' embeddings of the same n items, each item in about the same place in all maps.

    All are laid out in one go: an item's neighbours are its nearest by its own model, and itself in the other
    models. This is the idea of umap's AlignedUMAP, which cannot be cancelled. For two models of 1,000
    images with a caption each that took 13 s of processor time, this 2.5 s. An item's two places were 0.03
    of the map's spread apart, here 0.004, in separate maps turned onto each other 0.2; and each map is as
    true to its own model (trustworthiness 0.978) as one made alone (0.978; AlignedUMAP's 0.975).

    Args:
        models: unit vectors (n, d), row by row the same item; d may differ.
        n_neighbors: how many neighbours count; few show the grain, many the whole. n - 1 at most.
        min_dist: how near points may come, in the units of the map.
        seed: the same seed gives the same map on the same machine.
        progress: called after every block of neighbours and every epoch; what it raises ends the work. Only
            compiling, some seconds at the first map of a process, cannot be interrupted.

    Returns:
        Points (n, 2) float32 for each model. Fewer than 10 stay as PCA has them: they have no neighbourhoods
        to speak of. Of more than 30,000 a seeded sample is mapped, and the others are placed among them.
    """
    n = len(models[0])
    if n > MOST:
        kept = np.sort(np.random.default_rng(seed).choice(n, MOST, replace=False))
        some = aligned_maps(
            [x[kept] for x in models],
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            seed=seed,
            progress=progress,
        )
        return [Map(x[kept], points).place(x) for x, points in zip(models, some, strict=True)]
    start = [pca_map(x) for x in models]
    start = [start[0], *(procrustes(points, start[0]) for points in start[1:])]
    if n < FEWEST:
        return start

    tell = progress or (lambda done, total: None)
    blocks = len(models) * len(_blocks(n))
    epochs = 500 if len(models) * n <= 10_000 else 200  # as umap has them
    steps = iter(range(1, blocks + 1))
    graphs = [
        _nearest(x, x, min(n_neighbors, n - 1), lambda: tell(next(steps), blocks + epochs)) for x in models
    ]
    points = _laid_out(
        *_joined(graphs),
        np.concatenate(start),
        min_dist=min_dist,
        epochs=epochs,
        seed=seed,
        tell=lambda done: tell(blocks + done, blocks + epochs),
    )
    return np.split(points, len(models))


def procrustes(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Turn, mirror, scale and move points (n, 2) so that they lie nearest to `onto` (n, 2), row by row."""
    from scipy.linalg import orthogonal_procrustes

    a, b = points - points.mean(axis=0), onto - onto.mean(axis=0)
    turn, scale = orthogonal_procrustes(a, b)
    size = (a * a).sum()
    return (a @ turn * (scale / size if size else 1) + onto.mean(axis=0)).astype(np.float32)


def _joined(graphs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """One graph (models x n, k + models - 1) of several models' (n, k): an item is at itself in all others.

    Farther ties would leave more room to differ, but let bundles far from all others drift.
    """
    n = len(graphs[0][0])
    items = np.arange(n, dtype=np.int32)[:, None]
    indices, squared = [], []
    for here, (neighbours, distances) in enumerate(graphs):
        others = [items + there * n for there in range(len(graphs)) if there != here]
        indices.append(np.hstack([neighbours[:, :1] + here * n, *others, neighbours[:, 1:] + here * n]))
        squared.append(np.hstack([np.zeros((n, len(graphs)), np.float32), distances[:, 1:]]))
    return np.concatenate(indices), np.concatenate(squared)


def _laid_out(
    indices: np.ndarray,
    squared: np.ndarray,
    start: np.ndarray,
    *,
    min_dist: float,
    epochs: int,
    seed: int,
    tell: Callable[[int], None],
) -> np.ndarray:
    """UMAP of a graph of neighbours (n, k) from the points `start` (n, 2); `tell` hears of every epoch."""
    import umap

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "precomputed_knn", UserWarning)  # no `transform`: see `Map.place`
        fitted = umap.UMAP(
            n_neighbors=indices.shape[1],
            min_dist=min_dist,
            init=start,
            n_epochs=epochs,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(indices, squared / 2, None),  # of unit vectors: 1 - cosine
            tqdm_kwds={
                "disable": False,
                "bar_format": "{n}",
                "mininterval": 0,
                "miniters": 1,
                "file": _Epochs(tell),
            },
        )
        return fitted.fit_transform(start)  # of what is fitted it takes only the number of rows


class _Epochs:
    """A file for umap's progress bar, the one thing that it calls in each epoch."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.tell = tell

    def write(self, text: str) -> None:
        if done := re.search(r"\d+", text):
            self.tell(int(done[0]))

    def flush(self) -> None:
        """Nothing is held back."""


def _nearest(
    rows: np.ndarray, queries: np.ndarray, k: int, tell: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of unit rows (n, d) to each query (q, d): indices and squared distances (q, k)."""
    indices = np.empty((len(queries), k), np.int32)
    squared = np.empty((len(queries), k), np.float32)
    for block in _blocks(len(queries)):
        cosines = queries[block] @ rows.T
        best = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1)
        indices[block] = best = np.take_along_axis(best, order, axis=1)
        squared[block] = np.maximum(0, 2 - 2 * np.take_along_axis(cosines, best, axis=1))
        tell()
    return indices, squared


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]
