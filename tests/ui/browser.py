"""A Chromium-family browser for tests and benchmarks; run as a script, install one if there is none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 120_000
"""Milliseconds that a test waits for a page: the machine may be busy."""


def find_browser() -> str | None:
    """Return the path of a Chromium-family browser: $PAIRSCOPE_BROWSER, on the PATH, or Playwright's own."""
    for name in (os.environ.get("PAIRSCOPE_BROWSER", ""), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@contextmanager
def opened_browser() -> Iterator["Browser"]:
    """Start the browser without a window, and close it at the end.

    Raises:
        FileNotFoundError: there is no browser.
    """
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        raise FileNotFoundError("No browser: `python tests/ui/browser.py` finds or fetches one.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def main() -> int:
    """Find a browser, or install Playwright's or the system's; return 0 if there is one, else 1."""
    installations = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        installations += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    for command in installations:
        if find_browser():
            break
        subprocess.run(command, check=False)
    browser = find_browser()
    print(
        f"browser for the tests: {browser}"
        if browser
        else "No browser: install Chromium, or set PAIRSCOPE_BROWSER."
    )
    return 0 if browser else 1


if __name__ == "__main__":
    sys.exit(main())
