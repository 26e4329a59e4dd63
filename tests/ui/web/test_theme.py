"""Colours of marks, measured on the backgrounds of the theme."""

import re

import pytest

from ui.web.app import CSS
from ui.web.theme import THEME

MARKS = ("right", "wrong", "unsure")


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.1)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("selector", "suffix"), [(":root", ""), (".dark", "_dark")])
def test_marks_can_be_read_on_every_background(selector: str, suffix: str) -> None:
    blocks = re.findall(rf"^{re.escape(selector)} \{{(.*?)\}}$", CSS[0].read_text(), re.M | re.S)
    colours = dict(re.findall(r"--ps-([\w-]+): (#[0-9a-f]{6});", "".join(blocks)))
    pages = [
        getattr(THEME, f"{name}{suffix}") for name in ("body_background_fill", "background_fill_primary")
    ]
    for mark in MARKS:
        for background in [*pages, colours[f"{mark}-soft"]]:
            hexadecimal = "#ffffff" if background == "white" else background
            assert contrast(colours[mark], hexadecimal) >= 4.5, (mark, background)


def test_every_page_with_styles_of_its_own_is_collected() -> None:
    assert CSS[0].parent.name == "web"
    assert {"masthead", "learn"} <= {path.parent.name for path in CSS[1:]}
