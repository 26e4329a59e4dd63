"""Measure the marks of the search page: whether they are right, and the time that they add to a search.

    python benchmarks/query_truth.py

The queries are typed queries that Picturebook generates, true ones and false variants. Each is read from its
text alone, as the page does it. Its marks on all images of the demo gallery are compared with the truth of
what the generator meant. Left out are those with "sheep" or another noun that has no plural of its own, if
they mean several and do not say so: the text means at least one.
"""

import time
from typing import Annotated

import numpy as np
import typer
from reporting import ResultsOption, report
from results import Column, Row, Table

from analysis.query_truth import GalleryTruth
from itr_core import load_pairs
from itr_core.picturebook.ontology import NOUNS
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.source import scenes_of_ids
from itr_core.picturebook.typed_queries import typed_queries
from itr_core.picturebook.wording import plural

SHOWN = 12
"""Images of the first page of results."""


def main(
    count: Annotated[int, typer.Option(help="Queries.", min=10, max=2000)] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the queries.")] = 0,
    results: ResultsOption = None,
) -> None:
    """Measure whether the marks of the search page are right, and the time that they add to a search."""
    ids = list(load_pairs("picturebook:gallery").image_ids)
    truth = GalleryTruth(ids)
    facts = [SceneFacts(scene) for scene in scenes_of_ids(ids)]
    rng = np.random.default_rng(seed)
    understood = 0
    wrong: list[str] = []
    seconds: list[float] = []
    for row in rng.permutation(len(ids)):
        if len(seconds) == count:
            break
        (typed,) = typed_queries(facts[row], rng, 1)
        options = (typed.query, *typed.false)
        query = options[rng.integers(len(options))]
        if any(
            each.least > 1 and each.most is None and _same_in_plural(each.term)
            for each in query.meaning.things
        ):
            continue
        shown = rng.choice(len(ids), SHOWN, replace=False).tolist()
        start = time.process_time()
        marks = truth.of_query(query.text)
        if marks:
            _ = marks.right(shown), marks.total, [marks.broken(each) for each in shown]
        seconds.append(time.process_time() - start)
        if marks:
            understood += 1
            if marks.true.tolist() != [fact.entail(query.meaning) for fact in facts]:
                wrong.append(query.text)
    cells = {
        "understood": 100 * understood / count,
        "right": 100 * (understood - len(wrong)) / max(understood, 1),
        "median": 1000 * float(np.median(seconds)),
        "p95": 1000 * float(np.percentile(seconds, 95)),
    }
    columns = {
        "understood": Column(title="understood", unit="%"),
        "right": Column(title="marks right on all images", unit="%"),
        "median": Column(title="added time, median", unit="ms"),
        "p95": Column(title="added time, 95th percentile", unit="ms"),
    }
    table = Table(title="queries", columns=columns, rows=[Row(title=f"{count} typed queries", cells=cells)])
    notes = [f"Marks on {len(ids):,} images; processor time. A tenth of the queries has a typo."]
    report("query_truth", {"marks": table}, results, notes + [f"Wrong: {text!r}" for text in wrong])


def _same_in_plural(term: str) -> bool:
    return any(plural(word) == word for word in NOUNS[term])


if __name__ == "__main__":
    typer.run(main)
