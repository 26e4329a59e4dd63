"""Time a visitor's own pictures, from the first byte sent until they can be searched.

    python benchmarks/own_pictures.py

The pictures are as large as the page sends photos: JPEG files of 1,024 x 768 pixels. The app serves the demo
gallery with a starter model. While the pictures are embedded, a second visitor searches the demo gallery.
"""

import statistics
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from gradio_queue import App
from PIL import Image
from reporting import ResultsOption, report
from results import Column, Row, Table
from soak import free_port

ROOT = Path(__file__).parents[1]
GOAL = 30  # seconds
PART = 40
"""Pictures in one request, as the page sends them."""


def main(
    pictures: Annotated[int, typer.Option(help="Number of pictures.")] = 200,
    results: ResultsOption = None,
) -> None:
    """Time a visitor's own pictures."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "app.py", "--port", str(port), "--rate", "0", "--model", "starter:infonce"]
    files = [photo(number) for number in range(pictures)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            app = opened(url, server)
            alone = [searched(app, f"a red car {number}") for number in range(40)]
            sent, ready, meanwhile = embedded(url, app, files)
        finally:
            server.terminate()
    columns = {
        "seconds": Column(title="time", unit="s", format=".2f"),
        "goal": Column(title="goal", unit="s", format=".0f"),
    }
    measured: dict[str, dict[str, float]] = {
        f"{pictures} pictures sent": {"seconds": sent},
        f"{pictures} pictures searchable": {"seconds": ready, "goal": GOAL},
        "search of another visitor before, median": {"seconds": statistics.median(alone)},
        "search of another visitor meanwhile, median": {"seconds": statistics.median(meanwhile)},
        "search of another visitor meanwhile, slowest": {"seconds": max(meanwhile)},
    }
    rows = [Row(title=title, cells=cells) for title, cells in measured.items()]
    report("own_pictures", {"seconds": Table(columns=columns, rows=rows)}, results)


def photo(number: int) -> bytes:
    """Return a JPEG file; noise costs more time to decode than most photos."""
    file = BytesIO()
    Image.effect_noise((1024, 768), 20 + number % 60).convert("RGB").save(file, "JPEG", quality=90)
    return file.getvalue()


def opened(url: str, server: subprocess.Popen[bytes]) -> App:
    """Wait until the demo gallery can be searched."""
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"The app ended with exit status {server.returncode}.")
        try:
            app = App(url)
            app.search("a dog")
            return app
        except (httpx.HTTPError, RuntimeError):
            time.sleep(1)


def searched(app: App, query: str) -> float:
    """Return the seconds of a search."""
    start = time.perf_counter()
    app.search(query)
    return time.perf_counter() - start


def embedded(url: str, app: App, files: list[bytes]) -> tuple[float, float, list[float]]:
    """Send pictures and follow the work; return seconds sent, seconds searchable, and searches meanwhile."""
    start = time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as visitor:
        state: dict[str, Any] = {}
        for first in range(0, len(files), PART):
            names = range(first, min(first + PART, len(files)))
            part = [("files", (f"{name}.jpg", files[name])) for name in names]
            query = f"set={state['set']}" if state else "begin"
            state = visitor.post(f"own/pictures?{query}", files=part).raise_for_status().json()
        sent = time.perf_counter() - start
        visitor.post(f"own/build?set={state['set']}", json={}).raise_for_status()
        meanwhile: list[float] = []
        while (state := visitor.get("own/state").json())["state"] == "building":
            meanwhile.append(searched(app, f"a blue house {len(meanwhile)}"))
            time.sleep(0.1)
        ready = time.perf_counter() - start
        visitor.post("own/remove")
    if state["state"] != "ready" or state["pictures"] != len(files):
        raise RuntimeError(f"The pictures cannot be searched: {state}")
    return sent, ready, meanwhile


if __name__ == "__main__":
    typer.run(main)
