"""Embeddings and ranks of a gallery that the lessons of the Learn page compute with."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from analysis.example_batch import example_batch
from analysis.picture_of_the_day import rank_of
from analysis.probes.counterfactuals import TextEncoder
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.picturebook.relevance import SceneRelevance

NEGATIVES = 512
"""Most negatives of a dictionary."""
MOST_SEED = 9999
_SHARING, _OTHERS = 4, 3
_DIGITS = 4


class Negatives(NamedTuple):
    """The captions of other images as negatives of one image, in random order.

    Attributes:
        image: Row of the image.
        caption: Row of its caption.
        positive: Their cosine.
        cosines: (k,) of the image and the captions `rows`.
        rows: (k,) rows of the captions.
        true: (k,) whether each caption is also true of the image; None if the truth is not known.
    """

    image: int
    caption: int
    positive: float
    cosines: np.ndarray
    rows: np.ndarray
    true: np.ndarray | None


class Lengths(NamedTuple):
    """How the number of words of a query changes the rank of its image.

    Attributes:
        image: Row of the image.
        captions: Its captions, the shortest first.
        ranks: Rank of the image for each caption.
        correct: Number of images of which each caption is true; None if the truth is not known.
        prefixes: Rank of the image for the first 1, 2, ... words of the longest caption.
    """

    image: int
    captions: list[str]
    ranks: list[int]
    correct: list[int] | None
    prefixes: list[int]


class Support(NamedTuple):
    """Images with labels: the first one, some that share a label with it, and some that share none.

    Attributes:
        images: (p,) rows of the images.
        captions: (p,) rows of a caption of each.
        labels: Labels of each image.
    """

    images: np.ndarray
    captions: np.ndarray
    labels: list[list[str]]


def batch_vectors(gallery: Gallery, images: np.ndarray, captions: np.ndarray) -> dict[str, Any]:
    """Return the embeddings of pairs as lists, rounded to four digits: `images` and `texts`, each (p, d)."""
    return {
        "images": np.round(gallery.image_embeddings[images].astype(float), _DIGITS).tolist(),
        "texts": np.round(gallery.text_embeddings[captions].astype(float), _DIGITS).tolist(),
    }


def negatives(
    gallery: Gallery, truth: SceneRelevance | None, *, seed: int = 0, most: int = NEGATIVES
) -> Negatives:
    """Draw captions of other images as the negatives of the first image of `example_batch`.

    Args:
        gallery: The gallery.
        truth: Of the gallery, if it is known (`analysis.ground_truth.truth_of`).
        seed: Of the image and the captions.
        most: Largest number of captions.
    """
    batch = example_batch(gallery, seed=seed)
    image, caption = int(batch.images[0]), int(batch.captions[0])
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(gallery.image_of_caption != image))[:most]
    embedding, texts = gallery.image_embeddings[image], gallery.text_embeddings
    true = None
    if truth is not None:
        meanings = [truth.meanings[row] for row in rows.tolist()]
        true = SceneRelevance([truth.scenes[image]], meanings).matrix()[0]
    return Negatives(image, caption, float(texts[caption] @ embedding), texts[rows] @ embedding, rows, true)


def lengths(
    gallery: Gallery, truth: SceneRelevance | None, encoder: TextEncoder, *, seed: int = 0
) -> Lengths:
    """Measure an image with its captions and with parts of the longest one.

    Of the images of `example_batch`, it is the one whose shortest caption is true of the most images; without
    a known truth, the first one.

    Args:
        gallery: The gallery.
        truth: Of the gallery, if it is known (`analysis.ground_truth.truth_of`).
        encoder: The gallery's model.
        seed: Of the image.
    """
    texts = list(chain.from_iterable(gallery.items["captions"]))

    def by_length(image: int) -> list[int]:
        rows = np.flatnonzero(gallery.image_of_caption == image).tolist()
        return sorted(rows, key=lambda row: len(texts[row].split()))

    def correct_of(rows: Sequence[int]) -> list[int]:
        assert truth is not None
        true = SceneRelevance(truth.scenes, [truth.meanings[row] for row in rows]).matrix()
        return [int(count) for count in true.sum(axis=0)]

    images = np.unique(example_batch(gallery, seed=seed).images).tolist()
    shortest = [by_length(image)[0] for image in images]
    image = images[int(np.argmax(correct_of(shortest)))] if truth else images[0]
    rows = by_length(image)
    captions = [texts[row] for row in rows]
    words = captions[-1].split()
    prefixes = [" ".join(words[: count + 1]) for count in range(len(words))]
    embedded = encoder.encode_texts([*captions, *prefixes])
    ranks = [rank_of(gallery.image_embeddings, each, image) for each in embedded]
    correct = correct_of(rows) if truth else None
    return Lengths(image, captions, ranks[: len(captions)], correct, ranks[len(captions) :])


def support(gallery: Gallery, *, seed: int = 0) -> Support:
    """Choose an image, images that share the most labels with it, and images that share none.

    Raises:
        GalleryError: The images have no labels, or too few share one.
    """
    column: Sequence[Sequence[str] | None] = gallery.items["labels"].tolist()
    labels = [set(each) if each is not None else set() for each in column]
    owners = np.unique(gallery.image_of_caption)
    order = np.random.default_rng(seed).permutation(owners).tolist()
    for first in order[:50]:
        shared = {row: len(labels[first] & labels[row]) for row in order if row != first}
        sharing = sorted((row for row in order if shared.get(row)), key=lambda row: -shared[row])[:_SHARING]
        others = [row for row in order if row != first and not shared[row]][:_OTHERS]
        if len(labels[first]) > 1 and len(sharing) == _SHARING and len(others) == _OTHERS:
            images = np.array([first, *sharing, *others])
            counts = gallery.items["captions"].iloc[images].map(len).to_numpy(np.int64)
            captions = np.searchsorted(gallery.image_of_caption, images) + counts // 2
            return Support(images, captions, [sorted(labels[row]) for row in images.tolist()])
    raise GalleryError(
        "The pictures of this gallery have no labels that they share; the lesson needs them. "
        "Use Picturebook, or build the gallery from a source with labels."
    )
