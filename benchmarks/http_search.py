"""Time a T2I search over HTTP against encoding the query and searching alone.

    python benchmarks/http_search.py --pictures 2000 --pictures 31000

The app serves galleries enlarged from drawn pictures (`enlarged.py`) in a process of its own. Each query is
answered three times in turn: by `Searcher.search_text` in this process, through the API (a call and its event
stream), and by the event of the search page, which also renders the results. The queries are all different,
because the app keeps the embeddings of the latest. Processor time of the app is that of its process.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import psutil
import typer
from enlarged import enlarge
from gradio_queue import App
from reporting import ResultsOption, report
from results import Column, Row, Table
from soak import served

from itr_core import Gallery, Searcher, load_encoder, load_pairs

ALONE, API, PAGE = "encoding and scan alone", "API", "search page"
K, WARM_UP = 24, 5
THINGS = (
    "red car", "dog in a meadow", "boat at night", "tree in the snow", "cat on a sofa", "yellow bus",
    "house by a lake", "child with a kite",
)  # fmt: skip
COUNTS = ("one", "two", "three", "four", "five", "a", "no", "some", "many", "another")


def main(
    pictures: Annotated[
        list[int] | None, typer.Option(help="Size of a gallery. Repeat for several. [default: 2000]")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, max=75, help="Timed queries.")] = 40,
    model: Annotated[str, typer.Option(help="Model spec.")] = "starter:infonce",
    results: ResultsOption = None,
) -> None:
    """Time a T2I search over HTTP against encoding the query and searching alone."""
    encoder = load_encoder(model, device="cpu").fuse()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        small = Gallery.build(load_pairs("picturebook:gallery@500"), encoder, Path(scratch) / "small")
        for number in pictures or [2_000]:
            folder = Path(scratch) / str(number)
            enlarge(small, folder, number)
            measured = timed(folder, Searcher(Gallery.open(folder), encoder), queries)
            rows += [
                Row(title=f"{number:,} pictures, {name}", cells=cells) for name, cells in measured.items()
            ]
    columns = {
        "median": Column(title="median", unit="ms"),
        "tenth": Column(title="fastest tenth", unit="ms"),
        "over": Column(title="median beyond 1.5 times encoding and scan", unit="ms"),
        "processor": Column(title="processor time", unit="ms"),
    }
    notes = [f"{model}; queries: {queries}; top {K}; the app and its client run on the same machine."]
    report("http_search", {"latency": Table(columns=columns, rows=rows)}, results, notes)


def timed(gallery: Path, searcher: Searcher, queries: int) -> dict[str, dict[str, float]]:
    """Return the cells of each way to search, in milliseconds."""
    seconds: dict[str, list[float]] = {ALONE: [], API: [], PAGE: []}
    spent: dict[str, list[float]] = {ALONE: [], API: [], PAGE: []}
    texts = [f"{count} {thing}" for thing in THINGS for count in COUNTS][: WARM_UP + queries]
    with served(gallery) as (process, url):
        app = App(url)
        with app.session() as session:

            def page(text: str) -> None:
                for _ in app.event(session, ("address", "search"), {"address": f"?q={text}&k={K}"}):
                    pass

            app.search("a warm-up")  # waits until the gallery is open
            runs: dict[str, tuple[int | None, Callable[[str], object]]] = {
                ALONE: (None, lambda text: searcher.search_text(text, K)),
                API: (process, lambda text: app.call("search_text", text, K, "")),
                # With other words: the app keeps the embeddings of the latest queries.
                PAGE: (process, lambda text: page(f"{text}s")),
            }
            for number, text in enumerate(texts):
                for name, (worker, run) in runs.items():
                    times = psutil.Process(worker).cpu_times
                    before, start = sum(times()[:2]), time.perf_counter()
                    run(text)
                    if number >= WARM_UP:
                        seconds[name].append(1000 * (time.perf_counter() - start))
                        spent[name].append(1000 * (sum(times()[:2]) - before))
    return {
        name: {
            "median": statistics.median(each),
            "tenth": statistics.quantiles(each, n=10)[0],
            "processor": statistics.mean(spent[name]),
        }
        | (
            {}
            if name == ALONE
            else {
                "over": statistics.median(
                    own - 1.5 * alone for own, alone in zip(each, seconds[ALONE], strict=True)
                )
            }
        )
        for name, each in seconds.items()
    }


if __name__ == "__main__":
    typer.run(main)
