"""The tab Recall in a browser."""

import re

from playwright.sync_api import Page, expect


def test_the_recall_tab_shows_recall_of_the_galleries(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/analysis")
    expect(page.locator("#measures table")).to_be_visible()  # the galleries have loaded
    page.get_by_role("tab", name="Recall").click()
    table = page.locator("#recall table")
    expect(table.get_by_role("columnheader")).to_have_text(["Metric", "picturebook", "nasty"])
    row = table.get_by_role("row").filter(has_text=re.compile(r"^\s*t2i_r1\b"))
    expect(row.locator("td").first).to_have_text(re.compile(r"\d+\.\d"))
