"""Time the analysis page in headless Chromium.

    pairscope build picturebook:gallery --out gallery
    python benchmarks/analysis_page.py gallery

Seconds from the request until all numbers and plots of the first tab are shown, from the click on the map's
tab until its points are drawn, and from another choice of colour until they are drawn in it. In the first
visit the app has not shown anything yet.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Browser
from provenance import build_command
from reporting import ResultsOption, report
from results import Cell, Column, Range, Row, Table

from itr_core import Gallery
from ui.web.app import launch

ROOT = Path(__file__).parents[1]
PAGE_GOAL = 2  # seconds
FIRST_PORT = 7899
COLUMNS = {
    "page_first": Column(title="page, first visit", unit="s"),
    "page_later": Column(title="page, later visits", unit="s"),
    "page_goal": Column(title="goal", unit="s", format=".0f"),
    "map": Column(title="map", unit="s"),
    "colour": Column(title="other colours", unit="s"),
}


def main(
    galleries: Annotated[
        list[Path],
        typer.Argument(help="Folders made by `pairscope build`, which also prepares what the page shows."),
    ],
    rounds: Annotated[int, typer.Option(min=2, help="Visits of the page.")] = 3,
    results: ResultsOption = None,
) -> None:
    """Time the analysis page in headless Chromium."""
    sys.path.insert(0, str(ROOT))
    from tests.ui.browser import opened_browser  # the tests use the same browser

    rows = []
    with opened_browser() as chromium:
        for port, folder in enumerate(galleries, FIRST_PORT):
            url = launch([str(folder)], port=port, block=False)
            first, *later = [visit(chromium, url) for _ in range(rounds)]
            manifest = Gallery.open(folder).manifest
            cells: dict[str, Cell] = {
                "page_first": first["page"],
                "page_later": _range(later, "page"),
                "page_goal": PAGE_GOAL,
                "map": _range([first, *later], "map"),
                "colour": _range([first, *later], "colour"),
            }
            rows.append(Row(title=f"{manifest.images + manifest.captions:,} points", cells=cells))
    table = Table(columns=COLUMNS, rows=rows)
    notes = [f"Visits: {rounds}."]
    report("analysis_page", {"seconds": table}, results, notes, first=[*map(build_command, galleries)])


def _range(visits: list[dict[str, float]], step: str) -> Range:
    seconds = [each[step] for each in visits]
    return Range(minimum=min(seconds), maximum=max(seconds))


def visit(browser: Browser, url: str) -> dict[str, float]:
    """Open the page once; return the seconds of `page`, `map` and `colour`."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    seconds = {}
    start = time.perf_counter()
    page.goto(f"{url}analysis")
    for selector in ("#measures table", "#plane .main-svg", "#similarities .main-svg"):
        page.wait_for_selector(selector)
    seconds["page"] = time.perf_counter() - start

    start = time.perf_counter()
    page.get_by_role("tab", name="Map").click()
    page.wait_for_function("document.querySelector('#map .gtitle')?.textContent === 'UMAP'")
    seconds["map"] = time.perf_counter() - start

    page.get_by_label("Colour by").click()
    start = time.perf_counter()
    page.get_by_role("option", name="category").click()
    page.wait_for_function("document.querySelector('#map .legendtext')?.textContent.startsWith('other')")
    seconds["colour"] = time.perf_counter() - start
    page.close()
    return seconds


if __name__ == "__main__":
    typer.run(main)
