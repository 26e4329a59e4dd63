"""A real browser for the tests: one that is installed, else Playwright's own, else the system's package.

Run as a script it makes sure that there is one; `find_browser` only looks.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """Path of a Chromium-family browser: $PAIRSCOPE_BROWSER, the PATH, or Playwright's download."""
    for name in (os.environ.get("PAIRSCOPE_BROWSER", ""), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def main() -> int:
    """Find a browser, else fetch Playwright's, else the system's package; 1 if none could be had."""
    ways = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        ways += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    for way in ways:
        if find_browser():
            break
        subprocess.run(way, check=False)
    browser = find_browser()
    print(
        f"browser for the tests: {browser}"
        if browser
        else "No browser: install Chromium, or set PAIRSCOPE_BROWSER."
    )
    return 0 if browser else 1


if __name__ == "__main__":
    sys.exit(main())
