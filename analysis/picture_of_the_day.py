"""The picture of the day: which picture of a gallery is hidden, and how close words come to it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from hashlib import blake2b

import numpy as np

from itr_core.picturebook.captions import canonical_caption
from itr_core.picturebook.parsing import parse_query
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import SETTING, Meaning, SceneFacts

FIRST_DAY = date(2026, 1, 1)


def hidden_row(day: date, image_ids: Sequence[str]) -> int:
    """Return the row of the picture that is hidden on a day: the same on every machine, in any order of rows.

    Args:
        day: The day.
        image_ids: Ids of the gallery's pictures, at least one.
    """

    def digest(row: int) -> bytes:
        return blake2b(f"{day.isoformat()} {image_ids[row]}".encode(), digest_size=16).digest()

    return min(range(len(image_ids)), key=digest)


def rank_of(images: np.ndarray, query: np.ndarray, row: int) -> int:
    """Return the rank of a picture for a query: 1 plus the number of pictures with a higher cosine.

    Args:
        images: (n, d) unit vectors.
        query: (d,) unit vector.
        row: Row of the picture.
    """
    scores = images @ query
    return 1 + int((scores > scores[row]).sum())


def solving_rank(size: int) -> int:
    """Return the largest rank that solves a gallery of `size` pictures: 0.5 % of them, from 1 to 10."""
    return min(10, max(1, size // 200))


def judged_facts(words: str, scene: Scene) -> list[tuple[str, bool]]:
    """Return each fact that the words state, in a fixed wording, and whether it is true of the scene.

    Args:
        words: A query; if `parse_query` does not understand it, there are no facts.
        scene: A scene of Picturebook.

    >>> from itr_core.picturebook.splits import scene_of
    >>> judged_facts("a sheep in a kitchen", scene_of("gallery", 0))
    [('a sheep', True), ('in a kitchen', False)]
    """
    meaning, facts = parse_query(words), SceneFacts(scene)
    if meaning is None:
        return []
    return [(canonical_caption(fact), facts.entail(fact)) for fact in _facts_of(meaning)]


def _facts_of(meaning: Meaning) -> Iterator[Meaning]:
    """Yield each thing with its attributes and number, each relation with its two things, and the setting."""
    for thing in meaning.things:
        yield Meaning((thing,))
    for relation in meaning.relations:
        things = meaning.things[relation.a], meaning.things[relation.b]
        yield Meaning(things, (replace(relation, a=0, b=1),))
    for name in SETTING:
        if (value := getattr(meaning, name)) is not None:
            yield replace(Meaning(), **{name: value})
