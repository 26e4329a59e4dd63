"""Many visitors at once: every answer is that of a direct search, and nobody waits long."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_queue import App
from soak import QUERIES, megabytes, served

from analysis.probes.explanation import explain
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from itr_core.pairs.decoding import decode_image
from itr_core.retrieval.searcher import Hit, Searcher

pytestmark = pytest.mark.ui

Record = Callable[[str, object], None]
CLOSE = 1e-4
"""Largest difference of two scores, which have four digits or come from another batch."""


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    encoder = load_encoder("starter:infonce", device="cpu")
    folder = tmp_path_factory.mktemp("galleries") / "g"
    return Searcher(Gallery.build(load_pairs("picturebook:gallery@100"), encoder, folder), encoder)


@pytest.fixture(scope="module")
def server(searcher: Searcher) -> Iterator[tuple[int, App]]:
    """Serve the gallery; return the process id of the server and the app."""
    with served(searcher.gallery.path) as (process, url):
        app = App(url)
        app.search(QUERIES[0])
        yield process, app


def upload(app: App, picture: Path) -> dict[str, Any]:
    """Upload a picture; return what the API takes as a picture."""
    sent = app.http.post("/upload", files={"files": (picture.name, picture.read_bytes())}).raise_for_status()
    return {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}


def are_best(found: list[dict[str, Any]], every: list[Hit], number: int) -> bool:
    """Return whether results are the best ones; those with close scores may be in any order."""
    scores = {hit.item_id: hit.score for hit in every}
    return (
        len(found) == number
        and len({hit["item_id"] for hit in found}) == number
        and all(abs(hit["score"] - scores[hit["item_id"]]) < CLOSE for hit in found)
        and all(abs(hit["score"] - best.score) < CLOSE for hit, best in zip(found, every, strict=False))
    )


def acts(searcher: Searcher, app: App) -> list[tuple[str, Callable[[], bool]]]:
    """Return kinds of requests and requests; each returns whether its answer is right."""
    everything = len(searcher.gallery)

    def words(query: str, number: int) -> Callable[[], bool]:
        expected = searcher.search_text(query, everything)
        return lambda: are_best(app.call("search_text", query, number, ""), expected, number)

    def picture(row: int) -> Callable[[], bool]:
        path = searcher.gallery.path / searcher.gallery.items["thumbnail"].iloc[row]
        sent = upload(app, path)
        caption = searcher.search_image(decode_image(path), 1)[0]

        def act() -> bool:
            (found,) = app.call("search_image", sent, 1, "")
            return abs(found["score"] - caption.score) < CLOSE and found["caption"] == caption.caption

        return act

    def reasons(query: str, row: int) -> Callable[[], bool]:
        item = searcher.gallery.items["image_id"].iloc[row]
        expected = explain(searcher, query, item)

        def act() -> bool:
            found = app.call("explain", query, item, "")
            drops = [word["drop"] for word in found["words"]]
            return found["rank"] == expected.rank and np.allclose(drops, expected.words["drop"], atol=CLOSE)

        return act

    return [
        *(("words", words(query, 1 + number % 24)) for number, query in enumerate(QUERIES)),
        *(("pictures", picture(row)) for row in range(20)),
        *(("reasons", reasons(query, row)) for row, query in enumerate(QUERIES[:10])),
    ]


@pytest.mark.parametrize(
    ("clients", "number"),
    [(8, 130), pytest.param(64, 5000, marks=[pytest.mark.slow, pytest.mark.load, pytest.mark.timeout(3600)])],
)
def test_every_answer_is_that_of_a_direct_search(
    clients: int, number: int, searcher: Searcher, server: tuple[int, App], record_property: Record
) -> None:
    process, app = server
    every = acts(searcher, app)
    chosen = [every[each % len(every)] for each in range(number)]
    random.Random(0).shuffle(chosen)
    before = megabytes(process)

    seconds: dict[str, list[float]] = {"words": [], "pictures": [], "reasons": []}

    def timed(kind: str, act: Callable[[], bool]) -> bool:
        start = time.perf_counter()
        right = act()
        seconds[kind].append(time.perf_counter() - start)
        return right

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        right = list(threads.map(timed, *zip(*chosen, strict=True)))
    record_property("queries per second", f"{number / (time.perf_counter() - start):.0f}")
    for kind, each in seconds.items():
        p50, p95 = np.percentile(each, [50, 95])
        record_property(f"{len(each)} times {kind}, p50 and p95", f"{p50:.2f} s and {p95:.2f} s")
    record_property("memory before and after", f"{before:.0f} MB and {megabytes(process):.0f} MB")
    assert right.count(False) == 0


@pytest.mark.slow
@pytest.mark.load
def test_a_class_opens_the_misses_together(server: tuple[int, App], record_property: Record) -> None:
    _, app = server

    def visit(_: int) -> float:
        start = time.perf_counter()
        with app.session() as session:
            for outputs in app.event(session, ("address", "misses"), {}):
                if "misses" in str(outputs) and "<li" in str(outputs):
                    return time.perf_counter() - start
        raise AssertionError("No misses were shown.")

    visit(0)  # the result that all share
    with ThreadPoolExecutor(30) as threads:
        p95 = np.percentile(list(threads.map(visit, range(30))), 95)
    record_property("p95 of 30 visitors", f"{p95:.2f} s")
    assert p95 <= 3
