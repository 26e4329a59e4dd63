"""Marks on the results of a search, without a browser."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.query_truth import GalleryTruth, Judged
from itr_core.retrieval.searcher import Hit
from tests.support import present
from ui.web import html
from ui.web.search.marks import Marks, caption_marks, options_of, picture_marks

HITS = [Hit(rank, 0.5, f"{rank}.png", "a dog", Path("0.webp")) for rank in (1, 2, 3)]


def marks(judged: Judged, known: bool = True, **asked: str) -> Marks | None:
    truth = SimpleNamespace(unknown=GalleryTruth.unknown) if known else None
    analysis: Any = SimpleNamespace(judged=lambda *_: judged, query_truth=truth, gallery=Gallery())
    return picture_marks(analysis, np.zeros(2), HITS, {"q": "a dog"} | asked)


class Gallery:
    """The part of a gallery that marks need."""

    def __len__(self) -> int:
        return 2000

    def row(self, item: str) -> int:
        return int(item.removesuffix(".png"))


JUDGED = Judged(
    (("right", ""), ("wrong", "no dog"), ("own", "")), right=2, total=4, own_rank=3, origin="Seen."
)


def test_every_right_answer_is_marked_and_counted() -> None:
    shown = present(marks(JUDGED))
    assert [present(mark).word for mark in shown.marks] == ["Right", "Wrong", "Right"]
    assert present(shown.marks[1]).reason == "no dog"
    assert shown.lines == ["2 of the first 3 pictures are right; 4 of 2,000 are.", "Seen."]


def test_pictures_that_nobody_judged_are_counted() -> None:
    partly = replace(JUDGED, marks=(("right", ""), ("unknown", ""), ("own", "")), known=5)
    shown = present(marks(partly))
    assert [mark and mark.word for mark in shown.marks] == ["Right", None, "Right"]
    assert shown.lines[0] == (
        "Of the first 3 pictures, 2 are right and 1 is not judged. "
        "Of all 2,000, 5 are judged and 4 are right."
    )


def test_what_r1_calls_an_error_and_is_none() -> None:
    shown = present(marks(JUDGED, truth="one"))
    assert [present(mark).word for mark in shown.marks] == ["Also correct", "Wrong", "The one right answer"]
    assert "has rank 3" in shown.lines[-1]
    assert "an error, and it is none" in shown.lines[-1]
    first_is_wrong = present(marks(replace(JUDGED, marks=JUDGED.marks[1:] + JUDGED.marks[:1]), truth="one"))
    assert first_is_wrong.lines[-1].endswith("counts this search as an error.")
    assert present(marks(replace(JUDGED, own_rank=1), truth="one")).lines[-1].endswith("as right.")
    assert "no right answer" in present(marks(replace(JUDGED, own_rank=None), truth="one")).lines[-1]


def test_marks_are_hidden_until_the_visitor_has_guessed() -> None:
    page = html.pictures(HITS, "Pictures", truth=marks(JUDGED, guess="1"))
    assert page.count(" hidden>") == 3 + 3 + 1  # marks, captions, and the sentence with the counts
    assert page.count('data-guess="') == 3
    assert "data-item" not in page
    assert " hidden>" not in html.pictures(HITS, "Pictures", truth=marks(JUDGED))


def test_without_the_truth_only_the_own_picture_of_a_caption_is_marked() -> None:
    judged = Judged((("unknown", ""), ("own", ""), ("unknown", "")), right=None, total=None, own_rank=2)
    shown = present(marks(judged, known=False))
    assert [mark and mark.word for mark in shown.marks] == [None, "Right", None]
    assert shown.lines == ["These words are the caption of the picture at rank 2."]
    assert not present(marks(judged, known=False, guess="1")).guess


def test_a_wording_without_a_known_truth_is_said_where_others_have_one() -> None:
    judged = Judged((("unknown", ""),) * 3, right=None, total=None, own_rank=None)
    assert "unknown for this wording" in present(marks(judged)).lines[0]
    assert marks(judged, known=False) is None


def test_captions_of_a_picture_are_marked() -> None:
    truths = {"a dog": (True, ""), "a cat": (False, "no cat"), "clouds": None}
    analysis: Any = SimpleNamespace(
        gallery=Gallery(), query_truth=SimpleNamespace(of_caption=lambda text, row: truths[text])
    )
    hits = [
        Hit(1, 0.5, f"{owner}.png", text, Path("0.webp")) for owner, text in enumerate([*truths, "a dog"])
    ]
    found = caption_marks(analysis, "3.png", hits)
    assert [mark and mark.word for mark in found] == ["Also correct", "Wrong", None, "Its own caption"]
    assert "no cat" in html.captions(hits, "Captions", found)


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({}, {}),
        ({"truth": "one", "guess": "1", "k": "3"}, {"truth": "one", "guess": "1"}),
        ({"truth": "<b>", "guess": "yes"}, {}),
    ],
)
def test_only_valid_options_stay_in_the_address(asked: dict[str, str], options: dict[str, str]) -> None:
    assert options_of(asked) == options
