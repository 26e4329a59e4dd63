"""Texts of strangers stay texts in all HTML that the pages show: they add no element and no attribute."""

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from itr_core.retrieval.searcher import Hit
from ui.web import html

ACTS = [
    "<script>x</script>", "<img src=x onerror=x>", '"><svg/onload=x>', "'><b>", "' onmouseover='x",
    '" autofocus onfocus="x', "</p><form action=//evil>", "<!--", "-->", "<![CDATA[x]]>",
    "&lt;script&gt;", "&#60;b&#62;", "&quot; onclick=x", "${window.x=1}", "`${x}`", "{{ 7*7 }}", "{% raw %}",
    "<style>*{}</style>", "<base href=//evil>", "<iframe srcdoc='<script>x</script>'>",
    "<a href='javascript:x'>", "javascript:x", "data:text/html,<script>x</script>",
    "<math><mi//xlink:href='data:x,<script>'>", "<template><b>", "\u202e<b>\u202c", "\0<b>", "\x1b[31m<b>",
    "<b\n>", "<b/\t>", "＜b＞", "<" * 50, "x" * 5000 + "<b>", "</title><b>", "</textarea><b>",
    "<input name=x>", "<p is=x>",
]  # fmt: skip
STARTS = ("?", "./?", "analysis?", "verdicts/")
"""Of the addresses in the pages."""


class Shape(HTMLParser):
    """The elements of a document with the names of their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append(f"{tag} {' '.join(name for name, _ in attrs)}")
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_comment(self, data: str) -> None:
        self.parts.append("comment")


def documents(text: str) -> list[str]:
    """Return what the pages show if every text of the data and of the visitor is `text`."""
    hit = Hit(1, 0.5, text, text, Path("x.webp"))
    image = {"link": html.share_link(item=text, g=text), "thumbnail": Path("x.webp"), "caption": text}
    miss = {
        "direction": "t2i", "query": 1, "found": 2, "rank": 3, "caption": text, "left": image, "right": image,
        "cause": text, "by": text, "by_text": True, "concept": text,
        "captioned": text, "depicted": text, "verdict": "",
    }  # fmt: skip
    link = html.share_link(q=text, g=text)
    work: Any = SimpleNamespace(done=1, total=2)
    return [
        html.pictures([hit], text), html.captions([hit], text), html.note(text), html.waiting(text, 1, 2),
        html.status(seconds=1, gallery=text, size=3, link=link, map_link=f"analysis{link}", notes=[text]),
        html.render("misses.html", misses=[miss], judgements=("unclear",)),
        html.render("verdicts.html", total=1, counts=[], unreadable=[], session=text, link="verdicts/x"),
        html.render("confusions.html", rows=[miss | {"misses": 1}], confused=(text, text, text)),
        html.render("computing.html", what=text, name=text, work=work),
    ]  # fmt: skip


@pytest.mark.parametrize("act", ACTS)
def test_a_text_adds_no_element_and_no_attribute(act: str) -> None:
    for harmless, hostile in zip(documents("a text"), documents(act), strict=True):
        shape = Shape(hostile)
        assert Counter(shape.parts) == Counter(Shape(harmless).parts)
        assert all(not link or link.startswith(STARTS) for link in shape.links)


def test_the_status_says_when_a_search_is_approximate() -> None:
    assert "approximate" in html.status(seconds=1, size=3, approximate=True)
    assert "approximate" not in html.status(seconds=1, size=3)
