"""Take the pictures of the README from an app that runs: `make demo`, then `python docs/pictures.py`.

Each page is opened at its address in headless Chromium, as a visitor sees it.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from PIL import Image

ROOT = Path(__file__).parents[1]
WIDTH = 1180
QUALITY = 82
"""Of WebP, from 0 to 100."""


class Shot(NamedTuple):
    """One picture: of which address, with a selector of what shows that the page is ready."""

    address: str
    ready: str
    height: int
    click: str = ""
    """Selector of what is clicked before."""


MODELS = "m=picturebook&m=picturebook+%28cusa%29&m=picturebook+%28small%29"
SHOTS = {
    "screenshot": Shot("?q=three+penguins", "#results .cards .mark", 1080),
    "compare": Shot(f"compare?q=three+penguins&{MODELS}", "#measures table", 1240),
    "stage": Shot("stage", ".stage-bars li", 980, ".stage-things button"),
    "analysis": Shot("analysis?tab=map&map=joint&colour=cause&open=images:12", ".map-point", 1080),
}


def main(
    url: Annotated[str, typer.Argument(help="Address of the app.")] = "http://127.0.0.1:7860",
) -> None:
    """Write assets/NAME.webp for each picture."""
    sys.path.insert(0, str(ROOT))
    from tests.ui.browser import PATIENCE, opened_browser  # the tests use the same browser

    with opened_browser() as browser:
        for name, shot in SHOTS.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": shot.height})
            page.set_default_timeout(PATIENCE)
            page.goto(f"{url}/{shot.address}")
            page.wait_for_selector(shot.ready)
            if shot.click:
                page.locator(shot.click).first.click()
            page.wait_for_timeout(5000)  # pictures are loaded, plots and lines drawn
            picture = Image.open(BytesIO(page.screenshot()))
            picture.convert("RGB").save(ROOT / "assets" / f"{name}.webp", quality=QUALITY, method=6)
            page.close()


if __name__ == "__main__":
    typer.run(main)
