"""Misses: filters, HTML of their cards and confusions, and the verdicts of people."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis
from analysis.misses.causes import ALL_CAUSES, confusion, most_confident, shares, worst
from analysis.misses.verdicts import JUDGEMENTS, Miss
from itr_core.errors import QueryError
from ui.web import html
from ui.web.analysis.panels import verdicts
from ui.web.analysis.panels.verdicts import SETTINGS

DIRECTIONS = {"t2i": "T2I", "i2t": "I2T"}
ORDERS = {"worst": worst, "most_confident": most_confident}
MEANING = {
    "false negative": "The result found first is also correct, but not annotated as a pair.",
    "near-duplicate": "The picture found first and the correct picture look the same.",
    "hub": "The result found first is the first result of far more queries than expected by chance.",
    "wrong object": "The caption names an object that the picture does not show.",
    "wrong attribute": "The object is there, but its colour, pattern, size or state differs.",
    "wrong count": "The object is there, but the number differs.",
    "wrong setting": "The place, the time of day or the weather differs.",
    "wrong relation": "All objects are there, but their arrangement differs.",
    "unknown": "Neither the ground truth nor a comparison of the texts shows a cause.",
}
TITLES = {"false negative": "also correct (false negative)"}
"""Cause -> what people read instead of its name."""
BY = {"truth": "from ground truth", "text": "from comparing texts", "embeddings": "from embeddings"}
MOST_CONFUSIONS = 12


class MissFilter(NamedTuple):
    """Which misses to show; "" stands for all. `confused`: (concept, captioned, depicted)."""

    direction: str = ""
    cause: str = ""
    concept: str = ""
    confused: tuple[str, str, str] | None = None


def select(table: pd.DataFrame, wanted: MissFilter) -> pd.DataFrame:
    """Return the rows of `analysis.misses.causes.misses` that pass the filter."""
    for column, value in zip(("direction", "cause", "concept"), wanted, strict=False):
        if value:
            table = table[table[column] == value]
    for column, value in zip(("concept", "captioned", "depicted"), wanted.confused or (), strict=False):
        table = table[table[column] == value]
    return table


def choices(table: pd.DataFrame, column: str, every: str) -> list[tuple[str, str]]:
    """Return the (label, value) pairs of a filter with counts, ("hub (12)", "hub"), most frequent first."""
    counts = table.loc[table[column] != "", column].value_counts()
    return [
        (f"{every} ({len(table):,})", ""),
        *((f"{TITLES.get(str(name), name)} ({n:,})", str(name)) for name, n in counts.items()),
    ]


def summary(table: pd.DataFrame, cause: str, *, exact: bool) -> str:
    """Return the share of false negatives among the misses, and the meaning of the selected cause."""
    share = shares(table).loc["false negative"]
    present = [
        (DIRECTIONS[direction], share[direction], (table["direction"] == direction).sum())
        for direction in DIRECTIONS
    ]
    return html.render(
        "misses_summary.html",
        false_negatives=[each for each in present if each[2]],
        exact=exact,
        cause=TITLES.get(cause, cause),
        meaning=MEANING.get(cause, ""),
    )


def confusions(table: pd.DataFrame, wanted: MissFilter) -> str:
    """Return the most frequent confusions (the caption says X, the image shows Y) as a table of buttons."""
    rows = confusion(select(table, wanted._replace(confused=None)))
    rows = rows.sort_values("misses", ascending=False, kind="stable").head(MOST_CONFUSIONS)
    return html.render("confusions.html", rows=rows.to_dict("records"), confused=wanted.confused)


def cards(analysis: GalleryAnalysis, gallery: str, rows: pd.DataFrame, given: Mapping[Miss, str]) -> str:
    """Return misses with their images, which link to searches in `gallery`, and the verdicts on them."""
    misses = [_card(analysis, gallery, row, given) for row in rows.itertuples()]
    judgements = JUDGEMENTS if SETTINGS.on else ()
    return html.render("misses.html", misses=misses, judgements=judgements)


def saved_verdicts(analysis: GalleryAnalysis) -> tuple[str, dict[Miss, str]]:
    """Return a summary of the verdicts with a download link, and the last verdict on each miss."""
    return verdicts.saved(analysis)


def judge(analysis: GalleryAnalysis, direction: Any, query: Any, found: Any, verdict: Any) -> None:
    """Save a verdict that came from the browser; QueryError if it is invalid or cannot be saved."""
    table = analysis.misses()
    miss = Miss(str(direction), _row(query), _row(found))
    known = (table["direction"] == miss.direction) & (table["query"] == miss.query)
    if not (known & (table["found"] == miss.found)).any():
        raise QueryError("This gallery has no such miss.")
    verdicts.judge(analysis, miss, str(verdict))


def parse_bar(key: Any) -> tuple[str, str]:
    """Return direction and cause of a clicked bar, "t2i hub"; QueryError for anything else."""
    direction, _, cause = str(key).partition(" ")
    if direction not in DIRECTIONS or cause not in ALL_CAUSES:
        raise QueryError(f"There is no bar {str(key)[:40]!r} in this figure.")
    return direction, cause


def _card(analysis: GalleryAnalysis, gallery: str, row: Any, given: Mapping[Miss, str]) -> dict[str, Any]:
    image_of_caption = analysis.gallery.image_of_caption
    t2i = row.direction == "t2i"
    left, right = (
        (image_of_caption[row.query], row.found) if t2i else (row.query, image_of_caption[row.found])
    )
    return {
        "direction": row.direction, "query": row.query, "found": row.found, "rank": row.rank,
        "caption": analysis.captions[row.query if t2i else row.found],
        "left": _image(analysis, gallery, int(left)), "right": _image(analysis, gallery, int(right)),
        "cause": TITLES.get(row.cause, row.cause), "by": BY[row.by], "by_text": row.by == "text",
        "concept": row.concept, "captioned": row.captioned, "depicted": row.depicted,
        "verdict": given.get(Miss(row.direction, row.query, row.found), ""),
    }  # fmt: skip


def _image(analysis: GalleryAnalysis, gallery: str, row: int) -> dict[str, Any]:
    item = analysis.gallery.items.iloc[row]
    return {
        "link": html.share_link(item=item["image_id"], g=gallery),
        "thumbnail": analysis.gallery.path / item["thumbnail"],
        "caption": item["captions"][-1] if item["captions"] else "",
    }


def _row(number: Any) -> int:
    text = str(number)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else -1
