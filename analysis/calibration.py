"""Calibrated test of whether a gallery contains a match for a query, by the score of its best result.

A single threshold on the score does not work: the best match of "a dog" scores far lower than the best wrong
image for a long sentence. So the score is compared with the scores of the gallery's own captions, which do
have a match, in two ways:

- with the scores of all captions. This detects nonsense.
- with the scores of similar captions, predicted from the caption's embedding by ridge regression. This
  detects queries that almost match.

Both are rank tests as in conformal prediction (Vovk, Gammerman & Shafer, Algorithmic Learning in a Random
World, 2005), combined by the Bonferroni correction.

On Picturebook, a threshold on the score (and so any null distribution of the scores of unrelated captions)
separates queries with and without a match with an AUROC of 0.73, the z-score of the best result among all
results of the query with 0.50, and the excess over the predicted score with 0.93
(`python benchmarks/calibration.py`).
"""

from dataclasses import dataclass

import numpy as np

from analysis.blocks import blocks
from itr_core.errors import GalleryError
from itr_core.metrics.sampling import sample_rows
from itr_core.system.imports import import_lock

FOLDS = 5
MIN_IMAGES = 20
MAX_CAPTIONS = 10_000
"""Most captions to learn from; of more, a seeded sample."""


@dataclass(frozen=True)
class Calibration:
    """Distribution of the best score of captions with a match in one gallery, all float64.

    Attributes:
        scores: (r,) best scores of captions, ascending.
        excess: (r,) best score minus the predicted score of each caption, ascending.
        own_excess: (r,) score with its own image minus the predicted score of each caption, ascending.
        slope: (d,) of the regression that predicts the score of a caption from its embedding.
        intercept: of the regression.
    """

    scores: np.ndarray
    excess: np.ndarray
    own_excess: np.ndarray
    slope: np.ndarray
    intercept: float

    @classmethod
    def of(
        cls, images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray, *, seed: int = 0
    ) -> "Calibration":
        """Learn from the pairs of a gallery.

        The regression predicts the score of a caption with its own image. For `excess` it is cross-fitted:
        captions are predicted by a regression on the captions of other images.

        Args:
            images: (n, d) unit vectors.
            texts: (m, d) unit vectors.
            image_of_caption: (m,) image row of each caption.
            seed: of the sample of captions.

        Raises:
            GalleryError: fewer than 20 images have captions.
        """
        with import_lock:
            from sklearn.linear_model import Ridge
            from sklearn.model_selection import GroupKFold, cross_val_predict

        rows = sample_rows(len(texts), MAX_CAPTIONS, seed, sort=False)  # float32 sums depend on the order
        if len(rows) < len(texts):
            texts, image_of_caption = texts[rows], image_of_caption[rows]
        if (captioned := len(np.unique(image_of_caption))) < MIN_IMAGES:
            raise GalleryError(
                f"Images with captions: {captioned}; calibrating the scores of matches needs {MIN_IMAGES}."
            )
        own = np.concatenate(
            [np.einsum("ij,ij->i", texts[b], images[image_of_caption[b]]) for b in blocks(len(texts))]
        )
        best = np.concatenate([(texts[b] @ images.T).max(axis=1) for b in blocks(len(texts))])
        ridge = Ridge(alpha=1.0)
        predicted = cross_val_predict(ridge, texts, own, groups=image_of_caption, cv=GroupKFold(FOLDS))
        ridge.fit(texts, own)
        slope = np.asarray(ridge.coef_, dtype=np.float64)
        scores, excess, own_excess = (
            np.sort(x.astype(np.float64)) for x in (best, best - predicted, own - predicted)
        )
        return cls(scores, excess, own_excess, slope, float(ridge.intercept_))

    def p_value(self, queries: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the probability that a query with a match in the gallery scores this low or lower.

        Reporting "nothing here matches" if it is at most 0.05 is wrong for at most 5 % of the queries with a
        match, provided that they are like the gallery's own captions.

        Args:
            queries: (q, d) unit vectors.
            scores: (q,) cosine of each query with its best result.

        Returns:
            (q,) in (0, 1].
        """
        excess = scores - (queries @ self.slope + self.intercept)
        among_all, among_similar = (
            (1 + np.searchsorted(reference, values, side="right")) / (1 + len(reference))
            for reference, values in ((self.scores, scores), (self.excess, excess))
        )
        return np.minimum(1.0, 2 * np.minimum(among_all, among_similar))

    def match_rate(self, query: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the probability that a caption scores this low, or lower, with an image that it is true of.

        Leaving out the results whose rate is at most 0.1 leaves out at most 10 % of the matches, provided
        that query and matches are like the captions of the gallery with their own images.

        Args:
            query: (d,) unit vector.
            scores: (k,) cosines of the query with its results.

        Returns:
            (k,) in (0, 1].
        """
        excess = scores - (query @ self.slope + self.intercept)
        lower = np.searchsorted(self.own_excess, excess, side="right")
        return np.asarray((1 + lower) / (1 + len(self.own_excess)))
