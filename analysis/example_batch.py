"""A small batch of pairs of a gallery, for explaining a contrastive loss with its real cosines."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from analysis.ground_truth import truth_of
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.vocabulary import word_count

PAIRS = 8
HARD = 3
"""Pairs whose images are nearest to the first caption; the others are drawn."""
_EXAMINED = 400
"""Most images among which the pairs are chosen."""
_WORDS = 8
"""Of several captions, the one with about this many words is taken: it fits beside its image."""


class ExampleBatch(NamedTuple):
    """Eight pairs and, if the gallery has one, a ninth that is a false negative of the first.

    Attributes:
        images: (p,) rows of the images, p = 9 or 8.
        captions: (p,) rows of their captions.
        cosines: (p, p) float64, of image i and caption j.
        twin: what the ninth pair is: "scene", another image and its caption, each also a true match of the
            first pair; "caption", the first image again with another of its captions; or "", none.
    """

    images: np.ndarray
    captions: np.ndarray
    cosines: np.ndarray
    twin: str


def example_batch(gallery: Gallery, *, seed: int = 0) -> ExampleBatch:
    """Choose a batch with hard negatives and a false negative.

    Where the truth is known, no caption of the eight pairs is true of the image of another one.

    Args:
        gallery: at least eight images with captions.
        seed: of the images that are drawn.

    Raises:
        GalleryError: The gallery has fewer than eight images with captions, or no eight that are unlike.
    """
    owners = gallery.image_of_caption
    drawn = np.random.default_rng(seed).permutation(np.unique(owners))[:_EXAMINED]
    captions = np.array([_caption(gallery, image) for image in drawn.tolist()], np.int64)
    if len(drawn) < PAIRS:
        raise GalleryError(f"An example batch needs {PAIRS} pictures with captions; {len(drawn)} are there.")
    true = _true(gallery, drawn, captions)
    similarity = gallery.image_embeddings[drawn] @ gallery.text_embeddings[captions].T
    first, *second = _alike(true, similarity) or [0]
    chosen = [first, *second]
    _add_unlike(chosen, np.argsort(-similarity[:, first], kind="stable"), HARD, true)
    _add_unlike(chosen, range(len(drawn)), PAIRS - 1 - HARD, true)
    if len(chosen) < PAIRS + len(second):
        raise GalleryError(f"This gallery has no {PAIRS} pictures whose captions are true of no other one.")
    order = [first, *chosen[1 + len(second) :], *second]
    images, texts, twin = drawn[order], captions[order], "scene" if second else ""
    others = np.setdiff1d(np.flatnonzero(owners == images[0]), texts[:1])
    if not twin and len(others):
        images, texts, twin = np.append(images, images[0]), np.append(texts, others[0]), "caption"
    cosines = gallery.image_embeddings[images].astype(float) @ gallery.text_embeddings[texts].astype(float).T
    return ExampleBatch(images, texts, cosines, twin)


def _caption(gallery: Gallery, image: int) -> int:
    """Return the row of the caption of an image whose length is nearest to `_WORDS`."""
    start = int(np.searchsorted(gallery.image_of_caption, image))
    texts: list[str] = gallery.items["captions"].tolist()[image]
    lengths = [word_count(text) for text in texts]
    return start + min(range(len(lengths)), key=lambda number: abs(lengths[number] - _WORDS))


def _true(gallery: Gallery, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """Return bool (n, n): whether caption j is true of image i; only i = j where nothing is known."""
    truth = truth_of(gallery, images.tolist())
    if truth is None:
        return np.eye(len(images), dtype=bool)
    counts = gallery.items["captions"].iloc[images].map(len).to_numpy(np.int64)
    within = captions - np.searchsorted(gallery.image_of_caption, images)
    return truth.matrix()[:, np.cumsum(counts) - counts + within]


def _alike(true: np.ndarray, similarity: np.ndarray) -> list[int]:
    """Return two pairs whose captions are true of both images, those with the highest cosines; [] if none."""
    both = true & true.T & ~np.eye(len(true), dtype=bool)
    if not both.any():
        return []
    lower = np.where(both, np.minimum(similarity, similarity.T), -np.inf)
    return [int(each) for each in np.unravel_index(lower.argmax(), lower.shape)]


def _add_unlike(chosen: list[int], order: Iterable[int], count: int, true: np.ndarray) -> None:
    """Add the first `count` pairs of `order` that are true matches of none that is chosen."""
    for each in order:
        if count and not (true[each, chosen] | true[chosen, each]).any():
            chosen.append(int(each))
            count -= 1
