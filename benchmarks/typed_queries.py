"""A fixed list of queries as people type them, with exact truth in the demo gallery, and its measure."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from itr_core import DualEncoder, load_pairs
from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.semantics import Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.source import scenes_of_ids
from itr_core.picturebook.typed_queries import typed_queries

FILE = Path(__file__).with_suffix(".yaml")
SHOWN = 12
"""Images of the first page of results."""
GOALS = {
    "all": 90.0, "class word": 85.0, "count": 80.0, "negation": 80.0, "relation": 70.0, "state": 80.0,
    "synonym": 85.0,
}  # fmt: skip
"""Kind of query -> percentage that a model should find of the true images, set before training."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query: its kind, its text, what it states, and whether a program drew it."""

    kind: str
    text: str
    meaning: Meaning
    drawn: bool


def read_queries() -> list[Query]:
    """Return the queries of the file: those written by hand, then those drawn by rule."""
    listed: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(FILE.read_text("utf-8"))
    return [
        Query(kind, text, _meaning(entry), group == "drawn")
        for group, kinds in listed.items()
        for kind, texts in kinds.items()
        for text, entry in texts.items()
    ]


def found_of_true(encoder: DualEncoder, queries: list[Query]) -> list[tuple[int, int]]:
    """Return, for each query, the true images among the first 12 and min(12, all true images).

    The images are those of `picturebook:gallery`, the demo gallery.
    """
    pairs = load_pairs("picturebook:gallery")
    scenes = scenes_of_ids(pairs.image_ids)
    true = SceneRelevance(scenes, [query.meaning for query in queries]).matrix()  # (2000, queries)
    images = encoder.encode_images(pairs.image(index) for index in range(len(pairs)))
    scores = images @ encoder.encode_texts([query.text for query in queries]).T
    first = scores.argsort(axis=0)[::-1][:SHOWN]
    found = np.take_along_axis(true, first, axis=0).sum(0)
    return list(zip(found.tolist(), np.minimum(SHOWN, true.sum(0)).tolist(), strict=True))


def draw(count: int, seed: int) -> Iterator[Query]:
    """Draw queries that are true of images of the demo gallery, each of another image."""
    scenes = scenes_of_ids(load_pairs("picturebook:gallery").image_ids)
    for row in np.random.default_rng(seed).permutation(len(scenes))[:count]:
        rng = np.random.default_rng([seed, int(row)])
        (typed,) = typed_queries(SceneFacts(scenes[row]), rng, 1)
        yield Query(kind_of(typed.query.meaning), typed.query.text, typed.query.meaning, drawn=True)


def kind_of(meaning: Meaning) -> str:
    """Name the kind of query: the hardest thing that it asks for."""
    things = meaning.things
    tests = {
        "negation": any(each.most == 0 for each in things),
        "relation": bool(meaning.relations),
        "count": any(each.binds_all for each in things),
        "two things": len(things) > 1,
        "state": any(each.state for each in things),
        "pattern": any(each.pattern for each in things),
        "colour": any(each.colour or each.size for each in things),
        "class word": any(each.term not in KINDS for each in things),
    }
    return next((kind for kind, holds in tests.items() if holds), "place and word")


def _meaning(entry: dict[str, Any]) -> Meaning:
    things = tuple(Variable(**each) for each in entry.pop("things", ()))
    return Meaning(things, tuple(Relation(*each) for each in entry.pop("relations", ())), **entry)
