"""The page Sources in a browser."""

from playwright.sync_api import Page, expect


def test_the_page_names_source_and_model(page: Page, app_url: str) -> None:
    page.goto(app_url)
    page.get_by_role("link", name="Sources").click()
    row = page.locator("#sources tr").filter(has_text="picturebook")
    expect(row).to_contain_text("picturebook:gallery@80")
    expect(row).to_contain_text("starter:infonce")
    expect(row).to_contain_text("80")
