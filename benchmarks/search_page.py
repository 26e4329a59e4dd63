"""Measure what the search page does besides ranking: minus terms, changes, verdicts, the cut, and "Why?".

    pairscope build picturebook:gallery --model starter:infonce --out gallery
    python benchmarks/search_page.py gallery

All counts are exact, because the truth of a picture is known.

- Minus terms: the queries of `typed_queries.yaml` that say what is absent, searched for as they are, without
  these words, and with them subtracted (`itr_core.retrieval.composed`).
- Changes: "this, but at night" for pictures drawn by a seed. A picture is right if it shows the wished time,
  weather or place and all kinds of things of the first picture.
- Verdicts and cut: captions of other scenes (picturebook:val), and the other typed queries.
- Why: ten-word captions; all rankings without one word, against one search for each.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from provenance import build_command
from reporting import ResultsOption, report
from results import Column, Row, Table
from typed_queries import SHOWN, Query, read_queries

from analysis.gallery_analysis import GalleryAnalysis
from analysis.probes.query_edits import rankings, without_each_word
from analysis.verdict import verdict_on_query
from itr_core import Gallery, Searcher, load_encoder
from itr_core.gallery.named_models import model_to_load
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.ontology import PLACES, TIMES, WEATHERS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.source import scenes_of_ids
from itr_core.picturebook.splits import scene_of
from itr_core.retrieval.composed import CHANGE_WEIGHT, MINUS_WEIGHT, changed_picture, minus_query, split_minus
from itr_core.retrieval.instead_of import likely_alternative

WEIGHTS = (0.25, MINUS_WEIGHT, 0.75, 1.0)
WORDS = {
    "time": {name: each["words"][0] for name, each in TIMES.items()},
    "weather": {name: each["words"][0] for name, each in WEATHERS.items()},
    "place": {name: each.words[0] for name, each in PLACES.items()},
}
"""Attribute of a scene -> its values, as phrases."""
COUNTS = {"found": Column(title="right among the first 12", format=",.0f")}


def main(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build picturebook:gallery`.")],
    changes: Annotated[int, typer.Option(help="Pictures to change, per attribute.")] = 200,
    edited: Annotated[int, typer.Option(help="Ten-word captions to take a word from.")] = 100,
    results: ResultsOption = None,
) -> None:
    """Measure what the search page does besides ranking: minus terms, changes, verdicts, and "Why?"."""
    opened = Gallery.open(gallery)
    searcher = Searcher(opened, load_encoder(model_to_load(opened.manifest)))
    scenes = scenes_of_ids(opened.column("image_id"))
    typed = read_queries()
    judged = [Query("caption", each.text, each.meaning, drawn=True) for each in _captions(200)]
    judged += [query for query in typed if not split_minus(query.text).minus]
    tables = {
        "minus": minus_terms(searcher, scenes, [query for query in typed if split_minus(query.text).minus]),
        "changes": pictures_changed(searcher, scenes, changes),
        **verdicts(searcher, scenes, judged),
        "why": words_removed(searcher, edited),
    }
    notes = [
        f"{opened.manifest.model} on {opened.manifest.source}; weights {MINUS_WEIGHT} of a minus term and "
        f"{CHANGE_WEIGHT} of a change.",
        "Times are processor times of one thread.",
    ]
    report("search_page", tables, results, notes, first=[build_command(gallery)])


def minus_terms(searcher: Searcher, scenes: Sequence[Scene], queries: Sequence[Query]) -> Table:
    """Compare ways to search for what is absent."""
    true = SceneRelevance(scenes, [query.meaning for query in queries]).matrix()
    split = [split_minus(query.text) for query in queries]
    words = [searcher.embed_text(each.words) if each.words else None for each in split]
    minus = [[searcher.embed_text(text) for text in each.minus] for each in split]
    ways: dict[str, list[np.ndarray]] = {
        "words as they are": [searcher.embed_text(query.text) for query in queries],
        "without the minus terms": [
            np.zeros(searcher.encoder.dim, np.float32) if each is None else each for each in words
        ],
    }
    for weight in WEIGHTS:
        pairs = zip(words, minus, strict=True)
        ways[f"minus terms, weight {weight}"] = [minus_query(p, n, weight) for p, n in pairs]
    rows = [Row(title=way, cells=_found(searcher, each, true)) for way, each in ways.items()]
    rows.append(Row(title="most possible", cells={"found": int(np.minimum(SHOWN, true.sum(axis=0)).sum())}))
    return Table(title=f"{len(queries)} queries that say what is absent", columns=COUNTS, rows=rows)


def pictures_changed(searcher: Searcher, scenes: Sequence[Scene], count: int) -> Table:
    """Compare ways to search for a picture with a change."""
    rng = np.random.default_rng(0)
    images = np.asarray(searcher.gallery.image_embeddings)
    kinds = [frozenset(thing.kind for thing in scene.things) for scene in scenes]
    shares: dict[str, dict[str, float]] = {}
    columns = {}
    for field, words in WORDS.items():
        found: dict[str, int] = {}
        possible = tried = 0
        for row in rng.permutation(len(scenes))[:count].tolist():
            others = [value for value in words if value != getattr(scenes[row], field)]
            wish = others[int(rng.random() * len(others))]
            true = np.array(
                [
                    getattr(scene, field) == wish and kinds[row] <= own
                    for scene, own in zip(scenes, kinds, strict=True)
                ]
            )
            if not true.any():
                continue
            tried += 1
            possible += min(SHOWN, int(true.sum()))
            for way, query in _changes(searcher, images[row], words[wish]):
                best = [each for each in np.argsort(-(images @ query), kind="stable") if each != row][:SHOWN]
                found[way] = found.get(way, 0) + int(true[best].sum())
        columns[field] = Column(title=f"{field} ({tried} pictures)", unit="%")
        for way, number in found.items():
            shares.setdefault(way, {})[field] = 100 * number / possible
    rows = [Row(title=way, cells={**cells}) for way, cells in shares.items()]
    return Table(title="right among the first 12, of those possible", columns=columns, rows=rows)


def _changes(searcher: Searcher, picture: np.ndarray, but: str) -> Iterator[tuple[str, np.ndarray]]:
    plus, minus = searcher.embed_text(but), searcher.embed_text(likely_alternative(searcher, picture, but))
    yield "picture", picture
    yield "words", plus
    yield "picture + words", picture + plus
    yield "picture + words - opposite", picture + plus - minus
    yield f"picture + {CHANGE_WEIGHT} (words - opposite)", changed_picture(picture, plus, minus)


def verdicts(searcher: Searcher, scenes: Sequence[Scene], queries: Sequence[Query]) -> dict[str, Table]:
    """Compare verdicts and the cut with the truth."""
    confidence = GalleryAnalysis(searcher.gallery).confidence()
    true = SceneRelevance(scenes, [query.meaning for query in queries]).matrix()
    judged: dict[str, list[tuple[bool, bool]]] = {"good": [], "unsure": [], "unlikely": []}
    shown, right, kept, kept_right = 0, 0, 0, 0
    for column, query in enumerate(queries):
        hits = searcher.search_text(query.text, SHOWN)
        scores = np.array([hit.score for hit in hits])
        embedding, unseen = searcher.embed_text(query.text), searcher.encoder.unseen_words(query.text)
        verdict = verdict_on_query(confidence, query.text, embedding, scores, unseen)
        assert verdict is not None
        of_hits = true[[searcher.gallery.row(hit.item_id) for hit in hits], column]
        judged[verdict.level].append((bool(of_hits[0]), bool(true[:, column].any())))
        shown, right = shown + len(hits), right + int(of_hits.sum())
        kept += verdict.likely
        kept_right += int(of_hits[: verdict.likely].sum())
    columns = {
        "queries": Column(title="queries", format=",.0f"),
        "first": Column(title="first picture right", unit="%"),
        "any": Column(title="with a match in the gallery", unit="%"),
    }
    rows = []
    for level, each in judged.items():
        first, match = np.mean(each, axis=0) if each else (0.0, 0.0)
        rows.append(
            Row(
                title=level,
                cells={"queries": len(each), "first": 100 * float(first), "any": 100 * float(match)},
            )
        )
    cut = {
        "kept": Column(title="pictures shown", format=",.0f"),
        "precision": Column(title="of these right", unit="%"),
        "recall": Column(title="right ones shown", unit="%"),
    }
    cut_rows = [
        Row(title="first 12", cells={"kept": shown, "precision": 100 * right / shown, "recall": 100.0}),
        Row(
            title="first 12, cut where a match becomes unlikely",
            cells={"kept": kept, "precision": 100 * kept_right / kept, "recall": 100 * kept_right / right},
        ),
    ]
    return {
        "verdicts": Table(title="verdict", columns=columns, rows=rows),
        "cut": Table(columns=cut, rows=cut_rows),
    }


def words_removed(searcher: Searcher, count: int) -> Table:
    """Time all rankings without one word of a query, and compare them with searches."""
    images = np.asarray(searcher.gallery.image_embeddings)
    texts = [text for of_image in searcher.gallery.items["captions"] for text in of_image]
    queries = [text for text in dict.fromkeys(texts) if len(text.split()) == 10][:count]
    seconds, equal, ranks = [], 0, 0
    for number, query in enumerate(queries):
        row = number * len(images) // len(queries)
        edits = without_each_word(query)
        found, taken = _timed(partial(rankings, searcher.encode_texts, images, edits, row))
        seconds.append(taken)
        for each in found:
            hits = searcher.search_text(each.text, SHOWN)
            equal += [searcher.gallery.row(hit.item_id) for hit in hits] == each.rows
            ranks += 1
    cells: dict[str, Any] = {
        "p50": 1000 * float(np.median(seconds)), "p95": 1000 * float(np.quantile(seconds, 0.95)),
        "equal": 100 * equal / ranks,
    }  # fmt: skip
    columns = {
        "p50": Column(title="p50", unit="ms"), "p95": Column(title="p95", unit="ms"),
        "equal": Column(title="first 12 equal to a search", unit="%"),
    }  # fmt: skip
    title = f"ten queries without one word each, {len(images):,} pictures"
    return Table(columns=columns, rows=[Row(title=title, cells=cells)])


def _timed(work: Callable[[], list[Any]]) -> tuple[list[Any], float]:
    start = time.process_time()
    return work(), time.process_time() - start


def _found(searcher: Searcher, queries: Sequence[np.ndarray], true: np.ndarray) -> dict[str, Any]:
    """Return the number of right pictures among the first 12; a query that is zero finds none."""
    images = np.asarray(searcher.gallery.image_embeddings)
    found = 0
    for column, query in enumerate(queries):
        if query.any():
            best = np.argsort(-(images @ query), kind="stable")[:SHOWN]
            found += int(true[best, column].sum())
    return {"found": found}


def _captions(scenes: int) -> Iterator[Any]:
    for index in range(scenes):
        yield from captions_of(scene_of("val", index))


if __name__ == "__main__":
    typer.run(main)
