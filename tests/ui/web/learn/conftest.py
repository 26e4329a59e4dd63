"""The JavaScript modules of the Learn page in a browser, without a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

import ui.web.learn
from ui.web.learn.train import DATA

MODULES = Path(ui.web.learn.__file__).parent
HOST = "http://learn.test"


@pytest.fixture(scope="module")
def modules(chromium: Browser) -> Iterator[Page]:
    """Return a page whose scripts can import the modules, and fetch the data of the Learn page, by name."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{HOST}/")
        path = next((folder / name for folder in (MODULES, DATA) if name and (folder / name).exists()), None)
        if path is None:
            route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            route.fulfill(path=path)

    page = chromium.new_page()
    page.route(f"{HOST}/**", answer)
    page.goto(f"{HOST}/")
    yield page
    page.close()
