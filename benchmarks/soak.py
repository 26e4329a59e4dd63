"""Use the app as many visitors and programs do, and measure its memory, its delays and its answers.

    pairscope build picturebook:gallery --out gallery
    python benchmarks/soak.py gallery
    python benchmarks/soak.py gallery --minutes 20

Every client repeats three acts: it searches through the API, visits the search page, and visits the map,
which it may leave before the map is drawn. An answer of the API is wrong if it differs from the answer before
the load. Memory is that of the server's process; "a minute later" is a minute after the last act.
"""

import random
import resource
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Annotated

import httpx
import numpy as np
import typer
from gradio_queue import App
from provenance import build_command
from reporting import ResultsOption, report
from results import Column, Row, Table

ROOT = Path(__file__).parents[1]
THINGS = ("dogs in a meadow", "red cars", "boats at night", "trees in the snow", "cats on a sofa")
QUERIES = [f"{number} {thing}" for thing in THINGS for number in range(1, 21)]
WARM_UP = 30
"""Acts of every kind before the memory at the start is measured."""

MEMORY = {
    "start": Column(title="start", unit="MB", format=".0f"),
    "end": Column(title="end", unit="MB", format=".0f"),
    "later": Column(title="a minute later", unit="MB", format=".0f"),
}
DELAYS = {
    "acts": Column(title="number", format=",.0f"),
    "median": Column(title="median", unit="s"),
    "longest": Column(title="longest", unit="s"),
}


class Visitors:
    """The acts of the clients, with their delays in seconds and their faults."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.delays: defaultdict[str, list[float]] = defaultdict(list)
        self.faults: list[str] = []
        self.expected = {query: app.search(query) for query in QUERIES}
        self.acts: dict[str, Callable[[random.Random], None]] = {
            "search through the API": self.search,
            "search page": self.search_page,
            "map": self.map,
        }

    def act(self, name: str, choice: random.Random) -> None:
        """Perform one act and record its delay, or its fault."""
        start = time.perf_counter()
        try:
            self.acts[name](choice)
            self.delays[name].append(time.perf_counter() - start)
        except Exception as error:
            self.faults.append(f"{name}: {type(error).__name__}: {error}")

    def search(self, choice: random.Random) -> None:
        """Search through the API."""
        query = choice.choice(QUERIES)
        if self.app.search(query) != self.expected[query]:
            raise AssertionError(f"wrong answer to {query!r}")

    def search_page(self, choice: random.Random) -> None:
        """Type a query on the search page."""
        with self.app.session() as session:
            for _ in self.app.event(
                session, ("address", "search"), {"address": f"?q={choice.choice(QUERIES)}"}
            ):
                pass

    def map(self, choice: random.Random) -> None:
        """Open a map; every second visitor leaves when something is shown."""
        kind = choice.choice(["joint", "images", "captions"])
        with self.app.session() as session:
            for _ in self.app.event(session, ("address", "map"), {"map-kind": kind}):
                if choice.random() < 0.5:
                    break


def main(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build`.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="Duration of the load.")] = 1,
    clients: Annotated[int, typer.Option(min=1, help="Visitors at a time.")] = 8,
    results: ResultsOption = None,
) -> None:
    """Use the app as many visitors do, and measure its memory, its delays and its answers."""
    with served(gallery) as (process, url):
        visitors = Visitors(App(url))
        for name in visitors.acts:
            for seed in range(WARM_UP):
                visitors.act(name, random.Random(seed))
        visitors.delays.clear()
        memory = {"start": megabytes(process)}
        deadline = time.monotonic() + 60 * minutes

        def client(seed: int) -> None:
            choice = random.Random(seed)
            for name in cycle(visitors.acts):
                if time.monotonic() > deadline:
                    return
                visitors.act(name, choice)

        with ThreadPoolExecutor(clients) as threads:
            list(threads.map(client, range(clients)))
        memory["end"] = megabytes(process)
        time.sleep(60)
        memory["later"] = megabytes(process)
    delays = [
        Row(title=name, cells={"acts": len(each), "median": float(np.median(each)), "longest": max(each)})
        for name, each in visitors.delays.items()
    ]
    tables = {
        "memory": Table(columns=MEMORY, rows=[Row(title="server", cells=memory)]),
        "delays": Table(columns=DELAYS, rows=delays),
    }
    faults = visitors.faults
    notes = [f"{clients} clients for {minutes:g} minutes. Faults: {len(faults)}.", *faults[:9]]
    report("soak", tables, results, notes, first=[build_command(gallery)])


@contextmanager
def served(gallery: Path) -> Iterator[tuple[int, str]]:
    """Serve a gallery in another process; yield its process id and the address of the app once it answers."""
    # Without the limits on requests of one address: all clients have the same one.
    port = free_port()
    program = f"from ui.web.app import launch; launch([{str(gallery.resolve())!r}], port={port}, rate=0)"
    with answering([sys.executable, "-c", program], port) as server:
        yield server


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def answering(
    command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[int, str]]:
    """Run a server; yield its process id and its address once it answers."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            while True:
                if server.poll() is not None:
                    raise RuntimeError(f"{command[1:3]} ended with exit status {server.returncode}.")
                try:
                    httpx.get(url, timeout=5)
                    break
                except httpx.TransportError:
                    time.sleep(0.5)
            yield server.pid, url
        finally:
            server.terminate()


def megabytes(process: int) -> float:
    """Return the resident memory of a process (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    typer.run(main)
