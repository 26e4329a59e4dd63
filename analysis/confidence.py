"""Whether a gallery contains what a visitor searches for: the notes of the search page.

A query in words is judged by `analysis.calibration`, which learns from captions. A word alone scores lower
than a caption, so a query of which a caption says everything is known to have a match, whatever its score. A
word that neither the model nor the captions have met is as rare as words that only one caption has (Good, The
Population Frequencies of Species and the Estimation of Population Parameters, Biometrika 1953).

A picture is judged by its partial Mahalanobis distance to the pictures of the gallery, in the directions in
which these vary least (Kamoi & Kobayashi, Why is the Mahalanobis Distance Effective for Anomaly Detection?,
arXiv:2003.00402, with one class), as a conformal rank test.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.calibration import Calibration
from analysis.lexicon import Content, content
from analysis.projection import EQUAL
from itr_core.errors import GalleryError
from itr_core.vocabulary import nearest_word, words_of

MIN_IMAGES = 100
FOLDS = 10
_RIDGE = 1e-6
"""Added to the variances, as a share of their mean, so that they have inverses for few images."""
_LEAST = 3 / 8
"""Share of the directions that counts, those of least variance; chosen on photos of Flickr8k's dev split."""


@dataclass(frozen=True)
class PictureCalibration:
    """Partial Mahalanobis distances of a gallery's images, all float64.

    Attributes:
        mean: (d,) of the images.
        precision: (d, d) inverse covariance of the images in the directions of least variance, else 0.
        distances: (n,) squared distances of the images to the others, ascending. They are cross-fitted: mean
            and covariance are those of the images in other folds.
    """

    mean: np.ndarray
    precision: np.ndarray
    distances: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, *, seed: int = 0) -> "PictureCalibration":
        """Learn from the images (n, d) of a gallery.

        Raises:
            GalleryError: fewer than 100 images, or equal ones.
        """
        n = len(images)
        if n < MIN_IMAGES or np.ptp(images, axis=0).max() < EQUAL:
            raise GalleryError(f"Calibrating the distances of images needs {MIN_IMAGES} different images.")
        fold = np.random.default_rng(seed).permutation(n) % FOLDS
        distances = np.concatenate(
            [_distances(images[fold == k], *_fit(images[fold != k])) for k in range(FOLDS)]
        )
        return cls(*_fit(images), np.sort(distances))

    def p_value(self, images: np.ndarray) -> np.ndarray:
        """Return the share of the gallery's images that are as far from the others as each image (q, d)."""
        distances = _distances(images, self.mean, self.precision)
        closer = np.searchsorted(self.distances, distances, side="left")
        return (1 + len(self.distances) - closer) / (1 + len(self.distances))


class Said:
    """The content of captions, to find out whether one of them says all that a query says.

    Attributes:
        new_word_rate: estimated probability that one more caption has a word that no other has, in (0, 1].
    """

    def __init__(self, captions: Collection[str]) -> None:
        self._captions: dict[object, set[int]] = defaultdict(set)
        for row, caption in enumerate(captions):
            for part in _parts(content(caption)):
                self._captions[part].add(row)
        words = [set(words_of(caption)) for caption in captions]
        self._words = Counter(word for each in words for word in each)
        rare = sum(any(self._words[word] == 1 for word in each) for each in words)
        self.new_word_rate = (1 + rare) / (1 + len(words))

    def has_word(self, word: str) -> bool:
        """Whether a caption has a word in lower case, or one of which it is a misspelling."""
        return word in self._words or nearest_word(word, self._words) is not None

    def __contains__(self, query: str) -> bool:
        parts = [self._captions.get(part, set()) for part in _parts(content(query))]
        return bool(parts) and bool(set.intersection(*parts))


@dataclass(frozen=True)
class Confidence:
    """Tests of a gallery for queries and pictures without a match.

    Attributes:
        said: the gallery's captions.
        queries: None if the gallery has too few captions.
        pictures: None if it has too few images.
    """

    said: Said
    queries: Calibration | None
    pictures: PictureCalibration | None

    def of_query(
        self, query: str, embedding: np.ndarray, score: float, unseen: Collection[str] = ()
    ) -> float:
        """Return the probability that a query with a match scores this low, in (0, 1]; 1 if not known.

        Args:
            query: the words.
            embedding: (d,) of the query, unit norm.
            score: cosine of the query and its best result.
            unseen: words of the query that the model has not met, from `Encoder.unseen_words`. If the
                captions do not have one either, the result is at most the rate of such words.
        """
        if self.queries is None or query in self.said:
            return 1.0
        rate = float(self.queries.p_value(embedding[None], np.array([score]))[0])
        return rate if all(map(self.said.has_word, unseen)) else min(rate, self.said.new_word_rate)

    def of_picture(self, embedding: np.ndarray) -> float:
        """Return the share of the gallery's images that are as unusual as a picture (d,); 1 if not known."""
        return 1.0 if self.pictures is None else float(self.pictures.p_value(embedding[None])[0])


def _parts(meaning: Content) -> Iterator[object]:
    yield from meaning.things
    yield from meaning.values


def _fit(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of images (n, d), and their inverse covariance in the directions of least variance."""
    x = images.astype(np.float64)
    variances, directions = np.linalg.eigh(np.cov(x, rowvar=False))
    least = int(len(variances) * _LEAST)
    scaled = directions[:, :least] / np.sqrt(variances[:least] + _RIDGE * variances.mean())
    return x.mean(axis=0), scaled @ scaled.T


def _distances(images: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return the squared partial Mahalanobis distances of images (n, d), (n,)."""
    centred = images - mean
    return np.einsum("nd,nd->n", centred @ precision, centred)
