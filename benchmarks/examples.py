"""Measure the example queries of the search page on the demo gallery.

    python benchmarks/examples.py starter:infonce

Of the first 12 images of each example, at least 10 should be right, or all right ones of the gallery. The
last example is there to fail.
"""

from typing import Annotated

import typer
from reporting import ResultsOption, report
from results import Column, Row, Table
from typed_queries import Query, found_of_true

from itr_core import load_encoder
from itr_core.picturebook.parsing import parse_query
from ui.web.search.examples import PICTUREBOOK


def main(
    model: Annotated[str, typer.Argument(help="Spec of the dual encoder.")] = "starter:infonce",
    results: ResultsOption = None,
) -> None:
    """Measure the example queries of the search page on the demo gallery."""
    queries = []
    for text in PICTUREBOOK:
        meaning = parse_query(text)
        if meaning is None:
            raise typer.BadParameter(f"The truth of the example {text!r} is not known.")
        queries.append(Query("example", text, meaning, drawn=False))
    counts = found_of_true(load_encoder(model), queries)
    columns = {"found": Column(title="right images among the first 12"), "of": Column(title="of at most")}
    rows = [
        Row(title=query.text, cells={"found": float(found), "of": float(most)})
        for query, (found, most) in zip(queries, counts, strict=True)
    ]
    report("examples", {"examples": Table(title="example", columns=columns, rows=rows)}, results, [model])


if __name__ == "__main__":
    typer.run(main)
