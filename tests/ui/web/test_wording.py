"""The pages say "picture" everywhere; "image" stands only in fixed terms of the field."""

import re
from pathlib import Path

import pytest

import ui.web
from analysis.geometry.catalogue import GEOMETRY
from ui.web.analysis.panels.miss_cards import MEANING
from ui.web.analysis.tabs import map as maps
from ui.web.analysis.tabs import overview, probes, query_length

WEB = Path(ui.web.__file__).parent
FIXED = r"(?i)image-text|image (tower|encoder|features?|projection|model)"
"""Terms of the field that have no other word."""


def other_word(text: str) -> list[str]:
    """Return where a text says "image" and means a picture."""
    return re.findall(r".{0,30}\bimages?\b.{0,30}", re.sub(FIXED, "", text), re.IGNORECASE)


def texts_of(template: str) -> str:
    """Return what people read of a template: texts between tags, in attributes and in expressions."""
    code = re.compile(r"\{[{%].*?[%}]\}")
    plain = code.sub("", template)
    attributes = re.findall(r' (?:title|aria-label|placeholder|alt)="([^"]*)"', plain)
    phrases = [each for part in code.findall(template) for each in re.findall(r'"([^"]* [^"]*)"', part)]
    return "\n".join([re.sub(r"<[^>]*>", " ", plain), *attributes, *phrases])


@pytest.mark.parametrize("path", sorted(WEB.glob("templates/*.html")), ids=lambda path: path.stem)
def test_templates_say_picture(path: Path) -> None:
    assert other_word(texts_of(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", sorted(WEB.glob("lessons/content/*.yaml")), ids=lambda path: path.stem)
def test_lessons_say_picture(path: Path) -> None:
    assert other_word(path.read_text(encoding="utf-8")) == []


def test_the_analysis_page_says_picture() -> None:
    measures = [f"{each.title}. {each.definition}" for each in GEOMETRY.values()]
    captions = [overview.PLANE, overview.SIMILARITIES, maps.CAPTION, probes.IMPORTANCE, probes.ACCURACY]
    shown = [*measures, *captions, *MEANING.values(), *maps.KINDS, *query_length.CAPTIONS.values()]
    assert other_word("\n".join(shown)) == []
