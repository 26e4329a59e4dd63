"""What a model says about the picture of a scene: captions with their truth, and its rank in a search."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from itr_core.errors import QueryError
from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.statements import Statement, statements
from itr_core.retrieval.searcher import Searcher

FALSE_OF_A_THING = 2
"""False captions that are shown for a statement on things; of the setting and of relations, all are."""
MOST_TEXTS = 4_096
"""Texts whose embeddings are kept."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A caption, its cosine with the picture, and whether it is true of the scene."""

    caption: Caption
    score: float
    true: bool


class SceneCaptions:
    """Compares scenes with captions by the model of `searcher`; several threads may use one object."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.embedding = lru_cache(maxsize=256)(self._embedding)
        self._texts: dict[str, np.ndarray] = {}

    def _embedding(self, scene: Scene) -> np.ndarray:
        """Return the embedding of the picture of a scene, (d,) float32 of unit norm."""
        return self.searcher.embed_image(draw(scene))

    def judged(self, scene: Scene, start: Scene) -> list[Judged]:
        """Return captions of a scene, those with the highest cosine first.

        They are the true statements about the scene; of the false captions that differ from one of these in
        one fact, those that the model finds most similar; and the statements about `start`, so that an edit
        shows which captions it makes true and false.
        """
        known, before = statements(scene), [each.caption for each in statements(start)]
        false = [caption for each in known for group in each.contrasts for caption in group]
        cosines = self._cosines(scene, [*(each.caption for each in known), *false, *before])
        shown = [caption for each in known for caption in (each.caption, *_hardest(each, cosines))]
        facts = SceneFacts(scene)
        found = [
            Judged(caption, cosines[caption.text], facts.entail(caption.meaning))
            for caption in {caption.text: caption for caption in (*shown, *before)}.values()
        ]
        return sorted(found, key=lambda each: -each.score)

    def score(self, text: str, scene: Scene) -> float:
        """Return the cosine of any text with the picture of the scene; raise QueryError if it is empty."""
        return float(self.searcher.embed_text(text) @ self.embedding(scene))

    def rank(self, text: str, scene: Scene, without: str = "") -> tuple[int, int]:
        """Return the rank of the picture among those of the gallery in a search for a text, and their number.

        Args:
            text: The query.
            scene: What the picture shows.
            without: Id of a picture that does not count, such as that of the scene before it was edited.

        Raises:
            QueryError: The text is empty.
        """
        gallery, query = self.searcher.gallery, self.searcher.embed_text(text)
        scores = gallery.image_embeddings @ query
        with suppress(QueryError):  # a gallery without this picture
            scores = np.delete(scores, gallery.row(without))
        return 1 + int((scores > query @ self.embedding(scene)).sum()), len(scores) + 1

    def _cosines(self, scene: Scene, captions: Iterable[Caption]) -> dict[str, float]:
        texts = list(dict.fromkeys(caption.text for caption in captions))
        known = self._texts
        if missing := [text for text in texts if text not in known]:
            if len(known) + len(missing) > MOST_TEXTS:
                known, missing = {}, texts
            known = known | dict(zip(missing, self.searcher.encode_texts(missing), strict=True))
            self._texts = known
        cosines = np.stack([known[text] for text in texts]) @ self.embedding(scene)
        return dict(zip(texts, cosines.tolist(), strict=True))


def _hardest(statement: Statement, cosines: dict[str, float]) -> list[Caption]:
    """Return of each group of false captions the most similar one; of things, the most similar of these."""
    best = [max(group, key=lambda caption: cosines[caption.text]) for group in statement.contrasts]
    if len(statement.caption.meaning.things) == 1:
        best = sorted(best, key=lambda caption: -cosines[caption.text])[:FALSE_OF_A_THING]
    return best
