"""Time edits of the stage, from the edit to the captions in their new order, for one visitor and for ten.

    pairscope build picturebook:gallery --out gallery
    python benchmarks/stage.py gallery

One visitor edits in headless Chromium. The nine others are programs that send the same requests as the page
does and start their next edit when the last one is answered. The edits change the time, the weather, a colour
and a state in turn, so that all captions get new scores.
"""

import random
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from playwright.sync_api import Page
from provenance import build_command
from reporting import ResultsOption, report
from results import Column, Row, Table
from soak import served

ROOT = Path(__file__).parents[1]
OTHERS = 9
WARM_UP = 16
EDITS: tuple[dict[str, Any], ...] = (
    {"do": "set", "name": "time", "value": "night"},
    {"do": "change", "thing": 0, "attribute": "colour", "value": "brown"},
    {"do": "set", "name": "weather", "value": "rain"},
    {"do": "change", "thing": 0, "attribute": "state", "value": "running"},
    {"do": "set", "name": "time", "value": "sunset"},
    {"do": "change", "thing": 0, "attribute": "colour", "value": "black"},
    {"do": "set", "name": "weather", "value": "clear"},
    {"do": "change", "thing": 0, "attribute": "state", "value": "sleeping"},
)
"""Edits of the first scene of the stage, a dog and a car on a street, which can follow each other again."""
COLUMNS = {
    "median": Column(title="median", unit="ms", format=".0f"),
    "p95": Column(title="95 % below", unit="ms", format=".0f"),
    "longest": Column(title="longest", unit="ms", format=".0f"),
    "median_goal": Column(title="goal for the median", unit="ms", format=".0f"),
    "p95_goal": Column(title="goal for 95 %", unit="ms", format=".0f"),
}
_EDIT_JS = """(edit) => new Promise((resolve) => {
  const stage = document.querySelector('.stage');
  const control = edit.do === 'set'
    ? stage.querySelector(`[data-set=${edit.name}] input[value=${edit.value}]`)
    : stage.querySelector(`[data-attribute=${edit.attribute}]`);
  const start = performance.now();
  new MutationObserver((_, observer) => {
    observer.disconnect();
    requestAnimationFrame(() => resolve(performance.now() - start));
  }).observe(stage.querySelector('.stage-bars'), {childList: true, subtree: true, characterData: true});
  if (edit.do === 'set') control.click();
  else { control.value = edit.value; control.dispatchEvent(new Event('change', {bubbles: true})); }
})"""


def main(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build`.")],
    edits: Annotated[int, typer.Option(min=8, help="Edits that are timed in each row.")] = 80,
    results: ResultsOption = None,
) -> None:
    """Time edits of the stage, from the edit to the captions in their new order."""
    sys.path.insert(0, str(ROOT))
    from tests.ui.browser import opened_browser  # the tests use the same browser

    with served(gallery) as (_, url), opened_browser() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(f"{url}/stage")
        page.wait_for_selector(".stage-bars li")
        page.locator(".stage-things button").first.click()
        timed(page, WARM_UP)
        alone = timed(page, edits)
        with others(url):
            among_ten = timed(page, edits)
    rows = [row("one visitor", alone, 150, 300), row("ten visitors", among_ten, None, 1000)]
    notes = [f"Headless Chromium; {edits} edits for each row, after {WARM_UP} that are not counted."]
    tables = {"edits": Table(columns=COLUMNS, rows=rows)}
    report("stage", tables, results, notes, first=[build_command(gallery)])


def timed(page: Page, number: int) -> list[float]:
    """Make edits one after the other; return the milliseconds until each is shown."""
    return [float(page.evaluate(_EDIT_JS, EDITS[i % len(EDITS)])) for i in range(number)]


def row(title: str, milliseconds: list[float], median_goal: float | None, p95_goal: float) -> Row:
    """Return a row of the table."""
    cells: dict[str, Any] = {
        "median": float(np.median(milliseconds)),
        "p95": float(np.percentile(milliseconds, 95)),
        "longest": max(milliseconds),
        "p95_goal": p95_goal,
    }
    return Row(title=title, cells=cells | ({"median_goal": median_goal} if median_goal else {}))


@contextmanager
def others(url: str) -> Iterator[None]:
    """Let nine programs edit until the block exits."""
    ended = threading.Event()
    config = httpx.get(f"{url}/config", timeout=120).json()
    (component,) = [each["id"] for each in config["components"] if each["props"].get("elem_id") == "stage"]

    def edit(seed: int) -> None:
        scene, turn = "", random.Random(seed).randrange(len(EDITS))
        call = {"component_id": component, "fn_name": "stage", "session_hash": uuid.uuid4().hex[:10]}
        with httpx.Client(base_url=url, timeout=120) as http:
            while not ended.is_set():
                body = {"data": {"scene": scene, "edit": EDITS[turn % len(EDITS)]}, **call}
                answer = http.post("/gradio_api/component_server", json=body).raise_for_status()
                scene, turn = answer.json()["scene"], turn + 1

    with ThreadPoolExecutor(OTHERS) as programs:
        running = [programs.submit(edit, seed) for seed in range(OTHERS)]
        try:
            yield
        finally:
            ended.set()
        for each in running:
            each.result()


if __name__ == "__main__":
    typer.run(main)
