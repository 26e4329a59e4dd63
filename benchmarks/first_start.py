"""Time the first start of the app with an empty cache.

    python benchmarks/first_start.py

Seconds from the command until the page is served, and until the demo gallery of 2,000 images can be searched.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Annotated

import typer
from reporting import ResultsOption, report
from results import Column, Range, Row, Table

ROOT = Path(__file__).parents[1]
GALLERY_GOAL = 15  # seconds


def main(
    starts: Annotated[int, typer.Option(help="How often to start the app.")] = 3,
    results: ResultsOption = None,
) -> None:
    """Time the first start of the app with an empty cache."""
    runs = [first_start() for _ in range(starts)]
    page, gallery = ([run[step] for run in runs] for step in ("page", "gallery"))
    columns = {
        "seconds": Column(title="time", unit="s"),
        "goal": Column(title="goal", unit="s", format=".0f"),
    }
    rows = [
        Row(title="page served", cells={"seconds": Range(minimum=min(page), maximum=max(page))}),
        Row(
            title="demo gallery searchable",
            cells={"seconds": Range(minimum=min(gallery), maximum=max(gallery)), "goal": GALLERY_GOAL},
        ),
    ]
    report("first_start", {"seconds": Table(columns=columns, rows=rows)}, results, [f"Starts: {starts}."])


def first_start() -> dict[str, float]:
    """Start the app once; return the seconds until `page` and `gallery` are there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "app.py", "--port", str(port)]
        start = time.perf_counter()
        with subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PAIRSCOPE_CACHE": cache}, stdout=subprocess.DEVNULL
        ) as app:
            try:
                while not _serves(port):
                    _wait(app)
                served = time.perf_counter() - start
                while not list(Path(cache).glob("galleries/picturebook-*/manifest.json")):
                    _wait(app)
                return {"page": served, "gallery": time.perf_counter() - start}
            finally:
                app.terminate()


def _wait(app: subprocess.Popen[bytes]) -> None:
    if app.poll() is not None:
        raise RuntimeError(f"The app ended with exit status {app.returncode} before it could be used.")
    time.sleep(0.05)


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    typer.run(main)
