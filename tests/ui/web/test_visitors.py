"""Several visitors of one app: what one of them does to a long computation disturbs no other."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gradio_queue import App
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery.manifest import Manifest, stamps
from tests.ui.server import served_app
from tests.ui.web.test_look import SHIFTS

pytestmark = pytest.mark.ui

IMAGES = 2000
"""A UMAP of as many points takes longer than a PCA of all visitors."""
SHOWN = {
    "Overview": "#measures table",
    "Map": "#map .gtitle",
    "Query length": "#length .gtitle",
    "Misses": "#misses li",
    "Probes": "#probe-card img",
}
"""Tab -> what is visible on it once it has its results."""

# A click of playwright waits until the button rests. A browser that draws 6,000 points without a GPU is busy
# for seconds, in which the computation may end.
AS_SOON_AS_STOP_APPEARS = """press => {
  stopShown = false;
  new MutationObserver((_, observer) => {
    const stop = document.querySelector('#map-stop');
    if (!stop) return;
    observer.disconnect();
    stopShown = true;
    if (press) stop.click();
  }).observe(document.body, {childList: true, subtree: true});
}"""


def write_gallery(folder: Path) -> None:
    """Write a gallery of random embeddings, for the model that the app loads for it."""
    encoder = load_encoder("starter:infonce")
    random = np.random.default_rng(0)
    images = random.normal(size=(IMAGES, encoder.dim))
    texts = np.repeat(images, 3, axis=0) + 5 * random.normal(size=(3 * IMAGES, encoder.dim))
    folder.mkdir()
    for name, x in (("image_embeddings.npy", images), ("text_embeddings.npy", texts)):
        np.save(folder / name, (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    Image.new("RGB", (32, 32), "teal").save(folder / "image.webp")
    names = [f"image {row}" for row in range(IMAGES)]
    captions = [[f"a {word} in {name}" for word in ("red dog", "blue cat", "tall tree")] for name in names]
    items = {"image_id": names, "captions": captions, "thumbnail": "image.webp", "labels": None}
    pd.DataFrame(items).to_parquet(folder / "items.parquet")
    Manifest(
        source="folder:random", source_fingerprint="0", model="starter:infonce",
        model_fingerprint=encoder.fingerprint, dim=encoder.dim, images=IMAGES, captions=3 * IMAGES,
        skipped=[], created=datetime.now(UTC),
        files=stamps(folder, ["image_embeddings.npy", "text_embeddings.npy", "items.parquet", "image.webp"]),
    ).write(folder)  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("galleries")
    write_gallery(folder / "random")
    log = folder / "log.txt"
    with served_app(log, str(folder / "random")) as address:
        yield address
    assert "Traceback" not in log.read_text()


@pytest.fixture
def visitors(chromium: Browser, url: str) -> Iterator[list[Page]]:
    """Two visitors who have opened the analysis page."""
    pages = [chromium.new_page() for _ in range(2)]
    for page in pages:
        page.goto(f"{url}/analysis")
        expect(page.locator("#measures table")).to_be_visible()
    yield pages
    for page in pages:
        page.close()


def open_map(page: Page) -> None:
    page.get_by_role("tab", name="Map").click()
    expect(page.locator("#map .gtitle")).to_have_text("UMAP", timeout=180_000)


def choose_map(page: Page, kind: str) -> None:
    """Choose another map, whose UMAP takes some seconds."""
    page.get_by_label("Map of").click()
    page.get_by_role("option", name=kind, exact=True).click()


def open_every_tab(page: Page) -> None:
    for tab, shown in SHOWN.items():
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(shown).first).to_be_visible()


def test_progress_and_the_button_that_stops_it_move_nothing(visitors: list[Page]) -> None:
    """This test has to come first: a map is computed once."""
    one, _ = visitors
    one.evaluate(AS_SOON_AS_STOP_APPEARS, False)
    open_map(one)
    assert one.evaluate("stopShown")
    one.evaluate(SHIFTS)
    one.wait_for_timeout(500)  # until the observer has got what there was
    assert one.evaluate("window.shift") <= 0.005


def test_all_tabs_open_after_a_visitor_stopped_a_computation(visitors: list[Page]) -> None:
    one, other = visitors
    open_map(one)
    one.evaluate(AS_SOON_AS_STOP_APPEARS, True)
    choose_map(one, "captions")
    one.wait_for_function("stopShown")
    expect(one.locator("#map-progress progress")).to_have_count(0)
    expect(one.get_by_role("button", name="Stop")).to_have_count(0)
    for page in (other, one):
        open_every_tab(page)


def test_all_tabs_open_while_a_visitor_waits_and_after_the_visitor_left(visitors: list[Page]) -> None:
    one, other = visitors
    open_map(one)
    one.evaluate(AS_SOON_AS_STOP_APPEARS, False)
    choose_map(one, "both, gap removed")
    one.wait_for_function("stopShown")
    open_every_tab(other)
    one.close()
    open_every_tab(other)


def test_no_visitor_waits_until_the_computation_of_another_has_ended(url: str) -> None:
    app = App(url)

    def visit(number: int) -> tuple[float, float]:
        """Return the times when this visitor sees PCA and UMAP."""
        seen: dict[str, float] = {}
        with app.session() as session:
            for outputs in app.event(session, ("address", "map"), {"map-kind": "images"}):
                for method in ("PCA", "UMAP"):
                    if f'"text": "{method}"' in json.dumps(outputs):
                        seen.setdefault(method, time.monotonic())
        return seen["PCA"], seen["UMAP"]

    with ThreadPoolExecutor(4) as visitors:
        pca, umap = zip(*visitors.map(visit, range(4)), strict=True)
    assert max(pca) < min(umap)
