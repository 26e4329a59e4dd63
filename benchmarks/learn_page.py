"""Time the tools of the Learn page in headless Chromium, on an app that runs already.

    pairscope demo &
    python benchmarks/learn_page.py http://127.0.0.1:7860

Frames per second while the temperature of the matrix moves at every frame, and the seconds that each of many
pages needs for one whole training when all train at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Page
from reporting import ResultsOption, report
from results import Column, Range, Row, Table

ROOT = Path(__file__).parents[1]
SLIDE = """async (seconds) => {
  const slider = document.querySelector('#matrix-tau'), start = performance.now();
  let frames = 0;
  while (performance.now() - start < 1000 * seconds) {
    slider.value = -2 + 2 * Math.abs(Math.sin(frames++ / 40));
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise(requestAnimationFrame);
  }
  return frames / seconds;
}"""
TRAIN = """() => {
  const start = performance.now();
  document.querySelector('#train-play').click();
  new MutationObserver(() => {
    const ended = document.querySelector('#train .state').textContent.startsWith('The run has ended');
    if (ended) window.seconds ??= (performance.now() - start) / 1000;
  }).observe(document.querySelector('#train .state'), {childList: true});
}"""
COLUMNS = {
    "frames": Column(title="frames per second while sliding", format=".0f"),
    "train": Column(title="one training", unit="s"),
    "requests": Column(title="requests while training", format=".0f"),
}


def main(
    url: Annotated[str, typer.Argument(help="Address of the app.")],
    pages: Annotated[int, typer.Option(min=1, help="Pages that train at the same time.")] = 30,
    results: ResultsOption = None,
) -> None:
    """Time the tools of the Learn page in headless Chromium."""
    sys.path.insert(0, str(ROOT))
    from tests.ui.browser import opened_browser  # the tests use the same browser

    with opened_browser() as chromium:

        def opened(tool: str) -> Page:
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(300_000)
            page.goto(f"{url.rstrip('/')}/learn?open={tool}")
            page.wait_for_selector(f"#{tool} [aria-busy=false]")
            return page

        matrix = opened("matrix")
        frames = matrix.evaluate(SLIDE, 5)
        matrix.close()
        training = [opened("train") for _ in range(pages)]
        requests: list[str] = []
        for page in training:
            page.on("request", lambda request: requests.append(request.url))
        for page in training:
            page.evaluate(TRAIN)
        seconds = []
        for page in training:
            page.wait_for_function("window.seconds")
            seconds.append(page.evaluate("window.seconds"))
    cells = {
        "frames": frames,
        "train": Range(minimum=min(seconds), maximum=max(seconds)),
        "requests": len(requests),
    }
    table = Table(columns=COLUMNS, rows=[Row(title=f"{pages} pages at once", cells={**cells})])
    notes = ["Headless Chromium; the pages share the cores of this machine with the app."]
    report("learn_page", {"times": table}, results, notes, first=["pairscope demo &"])


if __name__ == "__main__":
    typer.run(main)
