"""How long the analysis page takes to open: `python benchmarks/analysis_page.py GALLERY [--rounds 3]`.

GALLERY is a folder made by `pairscope build`, which also prepares what the page shows. Seconds in headless
Chromium: from the request until all numbers and plots of the first tab are there, from the click on the map's
tab until its points are drawn, and from another choice of colour until they are drawn anew. The first round
is that of an app that has shown nothing yet.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.ui.browser import find_browser
from ui.web.app import launch


def visit(browser: Browser, url: str) -> dict[str, float]:
    """Seconds of one visit."""
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

    page.get_by_label("Coloured by").click()
    start = time.perf_counter()
    page.get_by_role("option", name="category").click()
    page.wait_for_function("document.querySelector('#map .legendtext')?.textContent.startsWith('other')")
    seconds["colour"] = time.perf_counter() - start
    page.close()
    return {name: round(value, 2) for name, value in seconds.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("gallery")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    url = launch([asked.gallery], port=7899, block=False)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for _ in range(asked.rounds):
            print(json.dumps(visit(chromium, url)), flush=True)
