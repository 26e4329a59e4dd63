"""Whether a best score is one that a match would have, so that the app can say "nothing here matches".

No one cut-off does: a match of "a dog" scores far less than the best wrong picture for a whole sentence. So
a score is compared with what captions that do have their picture here score, in two ways: against all of
them, which finds nonsense, and against those of its kind, as the caption's embedding foretells (ridge
regression), which finds what is nearly but not quite here. Each way is a rank test as in conformal
prediction (Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005), and the two share the
error evenly (Bonferroni).

On Picturebook one cut-off, and with it any null distribution of the scores of unrelated captions, tells
queries true of something from queries true of nothing with an AUROC of 0.73, the deviation of the best score
from the query's others with 0.50, the excess over what its kind foretells with 0.93
(`python benchmarks/calibration.py`).
"""

from dataclasses import dataclass

import numpy as np

from analysis.geometry.estimates import blocks
from itr_core.errors import GalleryError

FOLDS = 5
FEWEST_IMAGES = 20
MOST_CAPTIONS = 10_000
"""Of more captions a seeded sample is looked at."""


@dataclass(frozen=True)
class Calibration:
    """What the best score of a matching caption is like in one gallery; all that `chance` needs, float64.

    scores: (r,) best scores of captions with a picture here, ascending. excess: (r,) by how much these exceed
    the score foretold for their kind, ascending. slope (d,) and intercept: the foretelling.
    """

    scores: np.ndarray
    excess: np.ndarray
    slope: np.ndarray
    intercept: float

    @classmethod
    def of(
        cls, images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray, *, seed: int = 0
    ) -> "Calibration":
        """Learn from a gallery's own pairs.

        The score of a kind is foretold for captions of images that the regression has not seen.

        Args:
            images: (n, d) unit rows.
            texts: (m, d) unit rows.
            owner: (m,) image row of each caption.

        Raises:
            GalleryError: fewer than 20 images have captions.
        """
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import GroupKFold, cross_val_predict

        if len(texts) > MOST_CAPTIONS:
            kept = np.random.default_rng(seed).choice(len(texts), MOST_CAPTIONS, replace=False)
            texts, image_of_caption = texts[kept], image_of_caption[kept]
        if (captioned := len(np.unique(image_of_caption))) < FEWEST_IMAGES:
            raise GalleryError(
                f"{captioned} images have captions, too few to learn from what a match scores; it takes "
                f"{FEWEST_IMAGES}."
            )
        own = np.concatenate(
            [np.einsum("ij,ij->i", texts[b], images[image_of_caption[b]]) for b in blocks(len(texts))]
        )
        best = np.concatenate([(texts[b] @ images.T).max(axis=1) for b in blocks(len(texts))])
        ridge = Ridge(alpha=1.0)
        foretold = cross_val_predict(ridge, texts, own, groups=image_of_caption, cv=GroupKFold(FOLDS))
        ridge.fit(texts, own)
        slope = np.asarray(ridge.coef_, dtype=np.float64)
        scores, excess = np.sort(best.astype(np.float64)), np.sort((best - foretold).astype(np.float64))
        return cls(scores, excess, slope, float(ridge.intercept_))

    def chance(self, queries: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """How rarely a query that matches something here scores so low: (q,) in (0, 1].

        To say "nothing here matches" where it is at most 0.05 is wrong for at most 5 % of the queries that do
        match, as long as they are like the gallery's own captions.

        Args:
            queries: (q, d) unit rows.
            scores: (q,) the best cosine of each query with an image of the gallery.
        """
        excess = scores - (queries @ self.slope + self.intercept)
        among_all, among_kind = (
            (1 + np.searchsorted(reference, values, side="right")) / (1 + len(reference))
            for reference, values in ((self.scores, scores), (self.excess, excess))
        )
        return np.minimum(1.0, 2 * np.minimum(among_all, among_kind))
