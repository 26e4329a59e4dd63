"""Measure the first start of the app, with an empty cache and no network as on a Space, and the next one.

    python benchmarks/first_start.py

Seconds from the command until the page is served, until the demo gallery of 2,000 images can be searched,
and until a first search is answered; then the memory of the app, and what a browser loads for the search
page. The next start finds the cache of the first one and is compared with the import of gradio, torch and
open_clip alone. All addresses of other hosts lead to a closed port. To measure a fresh installation, make a
virtual environment with `requirements.txt` and name its interpreter with `--python`.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Annotated

import typer
from gradio_queue import App
from playwright.sync_api import Request
from reporting import ResultsOption, report
from results import Column, Range, Row, Table
from soak import free_port, megabytes

ROOT = Path(__file__).parents[1]
GALLERY_GOAL = 15  # seconds
NO_NETWORK = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
}
STEPS = {"page": "page served", "gallery": "demo gallery searchable", "search": "first search answered"}
SIZES = {"memory": "memory of the app after it", "bytes": "loaded by a browser for the search page"}


def main(
    starts: Annotated[int, typer.Option(help="How often to start the app.")] = 3,
    python: Annotated[str, typer.Option(help="Interpreter that starts the app.")] = sys.executable,
    results: ResultsOption = None,
) -> None:
    """Measure the first start of the app with an empty cache and without a network."""
    runs = [first_start(python) for _ in range(starts)]

    def span(name: str) -> Range:
        values = [run[name] for run in runs]
        return Range(minimum=min(values), maximum=max(values))

    seconds = {
        "seconds": Column(title="time", unit="s"),
        "goal": Column(title="goal", unit="s", format=".0f"),
    }
    goals = {"gallery": {"goal": GALLERY_GOAL}}
    steps = [
        Row(title=title, cells={"seconds": span(step), **goals.get(step, {})})
        for step, title in STEPS.items()
    ]
    size = {"size": Column(title="size", unit="MB")}
    sizes = [Row(title=title, cells={"size": span(name)}) for name, title in SIZES.items()]
    again = {
        "seconds": Column(title="time, next start", unit="s"),
        "ratio": Column(title="of the imports", format=".2f"),
    }
    starts_again = [
        Row(title="import of gradio, torch and open_clip", cells={"seconds": span("imports")}),
        Row(title=STEPS["search"], cells={"seconds": span("again"), "ratio": span("ratio")}),
    ]
    tables = {
        "seconds": Table(columns=seconds, rows=steps),
        "size": Table(columns=size, rows=sizes),
        "again": Table(columns=again, rows=starts_again),
    }
    report("first_start", tables, results, [f"Starts: {starts}, with an empty cache and no network."])


def first_start(python: str) -> dict[str, float]:
    """Start the app with an empty cache, and again.

    Returns:
        What `started` returns; `again`, the seconds until the second app has answered a search; `imports`,
        those of the import of gradio, torch and open_clip; and `ratio`, that of these two.
    """
    with tempfile.TemporaryDirectory() as cache:
        found = started(python, Path(cache))
        again = started(python, Path(cache))["search"]
    start = time.perf_counter()
    subprocess.run([python, "-c", "import gradio, torch, open_clip"], check=True)
    imports = time.perf_counter() - start
    return found | {"again": again, "imports": imports, "ratio": again / imports}


def started(python: str, cache: Path) -> dict[str, float]:
    """Start the app once; return the seconds of all `STEPS` and the megabytes of all `SIZES`."""
    port = free_port()
    command = [python, "app.py", "--port", str(port)]
    environment = os.environ | NO_NETWORK | {"PAIRSCOPE_CACHE": str(cache)}
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as app:
        try:
            while not _serves(port):
                _wait(app)
            served = time.perf_counter() - start
            while not list(cache.glob("galleries/picturebook-*/manifest.json")):
                _wait(app)
            built = time.perf_counter() - start
            App(f"http://127.0.0.1:{port}").search("a red car")
            answered = time.perf_counter() - start
            memory = megabytes(app.pid)
            loaded = bytes_of_page(f"http://127.0.0.1:{port}")
        finally:
            app.terminate()
    return {
        "page": served, "gallery": built, "search": answered, "memory": memory, "bytes": loaded / 1e6
    }  # fmt: skip


def bytes_of_page(url: str) -> int:
    """Return the bytes that a browser with an empty cache receives until the first results are shown."""
    sys.path.insert(0, str(ROOT))
    from tests.ui.browser import opened_browser  # the tests use the same browser

    requests: list[Request] = []
    with opened_browser() as chromium:
        page = chromium.new_page()
        page.on(
            "requestfinished",
            lambda request: requests.append(request),  # noqa: PLW0108 - playwright refuses built-in methods
        )
        page.goto(url, timeout=120_000)
        page.wait_for_function("[...document.querySelectorAll('#results img')].some((each) => each.complete)")
        sizes = [each.sizes() for each in requests if each.url.startswith(url)]
    return sum(each["responseBodySize"] + each["responseHeadersSize"] for each in sizes)


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
