"""Requests to the side sheet come from the browser and can be anything."""

from typing import Any
from urllib.parse import urlencode

import pytest

from itr_core.errors import QueryError
from ui.web.galleries import Galleries
from ui.web.search.why.sheet import Sheet


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Sheet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAIRSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        galleries = Galleries(["picturebook:gallery@8"], None)
        galleries.searcher("picturebook", timeout=120)
    return Sheet(galleries)


ITEM = "gallery-000003.png"


@pytest.mark.parametrize(
    "asked",
    [
        None, [], 7, "x", {}, {"item": ["a"]}, {"item": "../../etc/passwd", "address": "?q=a"},
        {"item": ITEM, "address": {"q": "a"}}, {"item": ITEM, "address": "?g=elsewhere&q=a"},
        {"item": ITEM, "address": "?q=a", "text": {"a": 1}},
        {"item": ITEM, "address": "?q=a", "text": " \0 "},
    ],
)  # fmt: skip
def test_wrong_requests_are_refused(sheet: Sheet, asked: Any) -> None:
    with pytest.raises(QueryError):
        sheet.rank(asked)


def test_long_and_hostile_words_are_ranked_and_shown_as_text(sheet: Sheet) -> None:
    for query in ("word " * 2000, "🦓 مدينة", "<script>alert(1)</script>", "no dogs"):
        answer = sheet.explain({"item": ITEM, "address": f"?q={query}", "minus": "9"})
        assert "<script>" not in answer["html"]
        assert len(answer["rankings"]) <= 41
        assert all(1 <= each["rank"] <= 8 for each in answer["rankings"])


def test_only_pictures_with_all_labels_are_ranked(sheet: Sheet) -> None:
    searcher = sheet.galleries.searcher("picturebook", timeout=0)
    labels = searcher.gallery.items["labels"].tolist()
    for chosen in (labels[3][:1], labels[3][:2]):
        address = "?" + urlencode({"q": "a red car", "label": "\n".join([*chosen, "no label", ""])})
        answer = sheet.explain({"item": ITEM, "address": address})
        assert len(answer["rankings"][0]["best"]) == sum({*chosen} <= {*each} for each in labels)


def test_the_scene_of_a_drawing_can_be_edited(sheet: Sheet) -> None:
    answer = sheet.explain({"item": ITEM, "address": "?q=a+red+car"})
    gallery = sheet.galleries.names[0]
    assert f'href="stage?item={ITEM}&amp;g={gallery}&amp;q=a+red+car"' in answer["html"]
