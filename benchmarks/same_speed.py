"""Whether one checkout of Pairscope is as fast as another, measured side by side.

    python benchmarks/same_speed.py BEFORE AFTER [--rounds 7] [--limit 1.05]

BEFORE and AFTER are the roots of two git checkouts. In every round both are measured, one directly after the
other, and the order changes from round to round, so that other work on the machine slows both alike. A ratio
is that of the two times within a round. Printed are medians over the rounds and the range of the ratios. The
exit code is 1 if a median ratio is above the limit.
"""

import json
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from checkouts import Checkout
from gradio_client import Client
from rich.console import Console
from rich.progress import track
from rich.table import Table

QUERIES = [
    f"{number} {colour} {thing} {place}"
    for number in ("one", "two", "three")
    for colour in ("red", "blue", "yellow")
    for thing in ("dogs", "boats", "birds")
    for place in ("on a beach", "in a garden")
]
"""All different: the app remembers the embeddings of queries."""
BATCH = 32
TRAINING = [
    *("--method", "infonce", "--source", "picturebook:train@200", "--model", "picturebook-vit/none"),
    *("--vocab-size", 300, "--batch-size", BATCH, "--max-steps", 30, "--device", "cpu"),
]

Seconds = dict[str, float]
Probe = Callable[[Checkout], Seconds]


def command_help(checkout: Checkout) -> Seconds:
    """The whole process of `pairscope --help`."""
    start = time.perf_counter()
    checkout.pairscope("--help")
    return {"pairscope --help": time.perf_counter() - start}


def import_app(checkout: Checkout) -> Seconds:
    """The import of the app, without the start of Python."""
    program = "import time; start = time.perf_counter(); import app; print(time.perf_counter() - start)"
    return {"import app": float(checkout.python("-c", program))}


def served_app(checkout: Checkout) -> Seconds:
    """The app from the command to its first page, and a text query through its API once it is warm."""
    start = time.perf_counter()
    with _serving(checkout) as url:
        served = time.perf_counter() - start
        client = Client(url, verbose=False)
        client.predict("a car", 10, "", api_name="/search_text")  # waits until the gallery is open
        seconds = [_query(client, query) for query in QUERIES]
    return {"app start": served, "text query": statistics.median(seconds)}


def _query(client: Client, query: str) -> float:
    start = time.perf_counter()
    client.predict(query, 10, "", api_name="/search_text")
    return time.perf_counter() - start


@contextmanager
def _serving(checkout: Checkout) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    arguments = ["--gallery", "picturebook:gallery@200", "--port", str(port)]
    app = checkout.start(checkout.path / "app.py", *arguments, output=subprocess.DEVNULL)
    try:
        while not _answers(url):
            if app.poll() is not None:
                raise RuntimeError(f"The app of {checkout.path} ended with exit code {app.returncode}.")
            time.sleep(0.005)
        yield url
    finally:
        app.kill()
        app.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as page:
            return bool(page.status == 200)
    except OSError:
        return False


def training_step(checkout: Checkout) -> Seconds:
    """A step of training on the CPU, after the first ten."""
    folder = checkout.folder / "run"
    shutil.rmtree(folder, ignore_errors=True)
    checkout.pairscope("train", *TRAINING, "--out", folder)
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {"training step": statistics.mean(BATCH / entry["pairs_per_s"] for entry in entries[1:])}


PROBES: Mapping[str, Probe] = {
    "help": command_help,
    "import": import_app,
    "app": served_app,
    "training": training_step,
}


def measured(checkouts: tuple[Checkout, Checkout], probes: list[Probe], rounds: int) -> list[list[Seconds]]:
    """Seconds of both checkouts in each round, after one round that fills the caches."""
    found = []
    for number in track(range(rounds + 1), "Rounds", console=Console(stderr=True), transient=True):
        pair: list[Seconds] = [{}, {}]
        for probe in probes:
            for place in (0, 1) if number % 2 else (1, 0):
                pair[place] |= probe(checkouts[place])
        found.append(pair)
    return found[1:]


def main(
    before: Annotated[Path, typer.Argument(help="Root of the checkout to compare with.")],
    after: Annotated[Path, typer.Argument(help="Root of the checkout that should not be slower.")],
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each checkout.")] = 7,
    limit: Annotated[float, typer.Option(help="Largest ratio AFTER / BEFORE that passes.")] = 1.05,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Measure only this: {', '.join(PROBES)}. Repeat for several.")
    ] = None,
) -> None:
    """Measure two checkouts side by side and compare their times."""
    for name in only or ():
        if name not in PROBES:
            raise typer.BadParameter(f"{name!r}: not one of {', '.join(PROBES)}.")
    probes = [PROBES[name] for name in only or PROBES]
    with tempfile.TemporaryDirectory() as scratch:
        one, other = (
            Checkout(before.resolve(), Path(scratch) / "0"),
            Checkout(after.resolve(), Path(scratch) / "1"),
        )
        for checkout in (one, other):
            checkout.check()
        found = measured((one, other), probes, rounds)
    table = Table("", "before, ms", "after, ms", "ratio", "range of ratios")
    slower = []
    for name in found[0][0]:
        times = [[pair[place][name] for pair in found] for place in (0, 1)]
        ratios = [new / old for old, new in zip(*times, strict=True)]
        ratio = statistics.median(ratios)
        slower += [name] * (ratio > limit)
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        table.add_row(
            name, *(f"{1000 * statistics.median(each):.1f}" for each in times), f"{ratio:.3f}", spread
        )
    Console().print(table)
    if slower:
        typer.echo(f"Slower by more than the limit of {limit}: {', '.join(slower)}")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
