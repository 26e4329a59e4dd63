"""Time a T2I search over HTTP against encoding the query and searching alone.

    python benchmarks/http_search.py --pictures 2000 --pictures 31000

The app serves galleries enlarged from drawn pictures (`enlarged.py`) in a process of its own. Each query is
answered three times in turn: by `Searcher.search_text` in this process, through the API (a call and its event
stream), and by the event of the search page, which also renders the results. The queries are all different,
because the app keeps the embeddings of the latest. Processor time of the app is that of its process.

With --peer, the back end of clip-retrieval answers, too, with the same model and embeddings
(`clip_retrieval_peer.py`).
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import typer
from clip_retrieval_peer import INDEX
from enlarged import enlarge
from gradio_queue import App
from reporting import ResultsOption, report
from results import Column, Row, Table
from soak import ROOT, answering, free_port, served

from itr_core import Gallery, Searcher, load_encoder, load_pairs

ALONE, API, PAGE = "encoding and scan alone", "API", "search page"
PEER = "clip-retrieval"
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
    peer: Annotated[
        Path | None, typer.Option(help="Folder with clip-retrieval, see clip_retrieval_peer.py.")
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
            measured = timed(folder, Searcher(Gallery.open(folder), encoder), queries, peer)
            rows += [
                Row(title=f"{number:,} pictures, {name}", cells=cells) for name, cells in measured.items()
            ]
    columns = {
        "median": Column(title="median", unit="ms"),
        "tenth": Column(title="fastest tenth", unit="ms"),
        "over": Column(title="median beyond 1.5 times encoding and scan", unit="ms"),
        "processor": Column(title="processor time", unit="ms"),
    }
    if peer:
        columns["peer"] = Column(title="as fast as clip-retrieval", unit="times")
    notes = [f"{model}; queries: {queries}; top {K}; the app and its client run on the same machine."]
    report("http_search", {"latency": Table(columns=columns, rows=rows)}, results, notes)


def timed(gallery: Path, searcher: Searcher, queries: int, peer: Path | None) -> dict[str, dict[str, float]]:
    """Return the cells of each way to search, in milliseconds."""
    texts = [f"{count} {thing}" for thing in THINGS for count in COUNTS][: WARM_UP + queries]
    with served(gallery) as (process, url), ExitStack() as stack:
        app = App(url)
        session = stack.enter_context(app.session())

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
        if peer:
            port = free_port()
            command = [sys.executable, "benchmarks/clip_retrieval_peer.py", str(gallery), "--port", str(port)]
            environment = os.environ | {"PYTHONPATH": f"{peer.resolve()}{os.pathsep}{ROOT}"}
            runs[PEER] = asked(*stack.enter_context(answering(command, port, environment)))
        seconds, spent = in_turn(runs, texts)
    return {name: cells(name, seconds, spent) for name in runs}


def asked(process: int, url: str) -> tuple[int, Callable[[str], object]]:
    """Return how clip-retrieval is asked: its process, and a function of the query."""
    client = httpx.Client(base_url=url, timeout=120)
    body = {"modality": "image", "num_images": K, "indice_name": INDEX}
    return process, lambda text: client.post("/knn-service", json={"text": text, **body}).raise_for_status()


def in_turn(
    runs: Mapping[str, tuple[int | None, Callable[[str], object]]], texts: Sequence[str]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the milliseconds of every query and the processor time of its process, for each run."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number, text in enumerate(texts):
        for name, (process, run) in runs.items():
            times = psutil.Process(process).cpu_times
            before, start = sum(times()[:2]), time.perf_counter()
            run(text)
            if number >= WARM_UP:
                seconds[name].append(1000 * (time.perf_counter() - start))
                spent[name].append(1000 * (sum(times()[:2]) - before))
    return seconds, spent


def cells(
    name: str, seconds: Mapping[str, Sequence[float]], spent: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Return the cells of one way to search."""
    own = seconds[name]
    found = {
        "median": statistics.median(own),
        "tenth": statistics.quantiles(own, n=10)[0],
        "processor": statistics.mean(spent[name]),
    }
    if name in (API, PAGE):
        pairs = zip(own, seconds[ALONE], strict=True)
        found["over"] = statistics.median(mine - 1.5 * alone for mine, alone in pairs)
        if PEER in seconds:
            found["peer"] = statistics.median(seconds[PEER]) / statistics.median(own)
    return found


if __name__ == "__main__":
    typer.run(main)
