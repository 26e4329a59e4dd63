"""Misses as what they stand for: which are asked for, how each is shown, and what a person says of it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd

from analysis.gallery_analysis import FOLDER, GalleryAnalysis
from analysis.misses.causes import ALL_CAUSES, confusion, most_confident, shares, worst
from analysis.misses.verdicts import JUDGEMENTS, read_verdicts, save_verdict
from itr_core.errors import GalleryError, PairscopeError, QueryError
from ui.web import html

WAYS = {"t2i": "T2I", "i2t": "I2T"}
ORDERS = {"worst": worst, "most_confident": most_confident}
MEANING = {
    "false negative": "What came first is right as well; only the pairs do not say so.",
    "near-duplicate": "What came first and the right picture look the same.",
    "hub": "What came first is the first answer to more queries than chance explains.",
    "wrong object": "The caption names a thing that the picture does not show.",
    "wrong attribute": "The thing is there, but has another colour, pattern, size or state.",
    "wrong count": "The thing is there, but not as often.",
    "wrong setting": "The place, the time or the weather is another one.",
    "wrong relation": "All things are there, but stand otherwise to each other.",
    "unknown": "Nothing that can be told by truth or by comparing texts.",
}
BY = {"truth": "by truth", "text": "by text comparison", "embeddings": "by embeddings"}
MOST_CONFUSED = 12


class MissFilter(NamedTuple):
    """Which misses are asked for; "" stands for all. confused: concept, captioned and depicted of one confusion."""

    direction: str = ""
    cause: str = ""
    concept: str = ""
    confused: tuple[str, str, str] | None = None


def chosen(table: pd.DataFrame, asked: MissFilter) -> pd.DataFrame:
    """The rows of `analysis.misses.causes.misses` that are asked for."""
    for column, value in zip(("direction", "cause", "concept"), asked, strict=False):
        if value:
            table = table[table[column] == value]
    for column, value in zip(("concept", "captioned", "depicted"), asked.confused or (), strict=False):
        table = table[table[column] == value]
    return table


def choices(table: pd.DataFrame, column: str, every: str) -> list[tuple[str, str]]:
    """What a filter offers, with counts: ("hub (12)", "hub"), the commonest first."""
    counts = table.loc[table[column] != "", column].value_counts()
    return [
        (f"{every} ({len(table):,})", ""),
        *((f"{name} ({n:,})", str(name)) for name, n in counts.items()),
    ]


def summary(table: pd.DataFrame, cause: str, *, exact: bool) -> str:
    """What share of the misses are none, and what the cause that was chosen means."""
    hidden = shares(table).loc["false negative"]
    present = [
        (WAYS[direction], hidden[direction], (table["direction"] == direction).sum()) for direction in WAYS
    ]
    return html.render(
        "misses_summary.html",
        hidden=[each for each in present if each[2]],
        exact=exact,
        cause=cause,
        meaning=MEANING.get(cause, ""),
    )


def confusions(table: pd.DataFrame, asked: MissFilter) -> str:
    """What captions say and pictures show instead, the most frequent first; each row can be chosen."""
    rows = confusion(chosen(table, asked._replace(confused=None)))
    rows = rows.sort_values("misses", ascending=False, kind="stable").head(MOST_CONFUSED)
    return html.render("confusions.html", rows=rows.to_dict("records"), confused=asked.confused)


def listing(
    analysis: GalleryAnalysis, gallery: str, rows: pd.DataFrame, said: Mapping[tuple[str, int, int], str]
) -> str:
    """Misses with their pictures, which link to a search in `gallery`, and a person's verdict."""
    misses = [_card(analysis, gallery, row, said) for row in rows.itertuples()]
    return html.render("misses.html", misses=misses, judgements=JUDGEMENTS)


def tally(analysis: GalleryAnalysis) -> tuple[str, dict[tuple[str, int, int], str]]:
    """How many verdicts there are, with a link to them, and which: (way, query, found) -> verdict."""
    path = verdicts_path(analysis)
    try:
        table = read_verdicts(path)
    except (OSError, GalleryError) as error:
        return html.status(notes=[f"The verdicts cannot be read: {_reason(error)}"]), {}
    table = table[table["gallery"] == analysis.gallery.manifest.checksum]
    table = table.drop_duplicates(["direction", "query", "found"], keep="last")
    counts = table["verdict"].value_counts()
    summary = html.render(
        "verdicts.html",
        total=len(table),
        counts=[(name, counts[name]) for name in JUDGEMENTS if name in counts],
        link=f"{_served(path)}?{len(table)}" if path.exists() else "",
    )
    return summary, {(row.direction, row.query, row.found): row.verdict for row in table.itertuples()}  # type: ignore[misc]


def judge(analysis: GalleryAnalysis, direction: Any, query: Any, found: Any, verdict: Any) -> None:
    """Keep a verdict that came from the browser; QueryError if it is none, or cannot be kept."""
    table = analysis.misses()
    place = (
        (table["direction"] == str(direction))
        & (table["query"] == _row(query))
        & (table["found"] == _row(found))
    )
    if not place.any():
        raise QueryError("That is no miss of this gallery, so there is nothing to judge.")
    try:
        save_verdict(
            verdicts_path(analysis), gallery=analysis.gallery.manifest.checksum, direction=str(direction),
            query=_row(query), found=_row(found), verdict=str(verdict),
        )  # fmt: skip
    except OSError as error:
        raise QueryError(f"The verdict cannot be kept beside the gallery: {_reason(error)}") from error


def verdicts_path(analysis: GalleryAnalysis) -> Path:
    """Where the verdicts on a gallery are."""
    return analysis.gallery.path / FOLDER / "verdicts.jsonl"


def parse_bar(key: Any) -> tuple[str, str]:
    """Way and cause of a bar that was clicked, as the browser names it; QueryError for anything else."""
    direction, _, cause = str(key).partition(" ")
    if direction not in WAYS or cause not in ALL_CAUSES:
        raise QueryError(f"There is no bar {str(key)[:40]!r} in this figure.")
    return direction, cause


def _card(
    analysis: GalleryAnalysis, gallery: str, row: Any, said: Mapping[tuple[str, int, int], str]
) -> dict[str, Any]:
    image_of_caption = analysis.gallery.image_of_caption
    t2i = row.direction == "t2i"
    left, right = (
        (image_of_caption[row.query], row.found) if t2i else (row.query, image_of_caption[row.found])
    )
    return {
        "direction": row.direction, "query": row.query, "found": row.found, "rank": row.rank, "margin": row.margin,
        "caption": analysis.captions[row.query if t2i else row.found],
        "left": _picture(analysis, gallery, int(left)), "right": _picture(analysis, gallery, int(right)),
        "cause": row.cause, "by": BY[row.by], "text": row.by == "text",
        "concept": row.concept, "captioned": row.captioned, "depicted": row.depicted,
        "verdict": said.get((row.direction, row.query, row.found), ""),
    }  # fmt: skip


def _picture(analysis: GalleryAnalysis, gallery: str, row: int) -> dict[str, Any]:
    item = analysis.gallery.items.iloc[row]
    return {
        "link": html.share_link(item=item["image_id"], g=gallery),
        "thumbnail": analysis.gallery.path / item["thumbnail"],
        "caption": item["captions"][-1] if item["captions"] else "",
    }


@cache
def _served(path: Path) -> str:
    """Address of the one file of the analysis that visitors may have."""
    gr.set_static_paths([path])
    return html.file_url(path)


def _row(number: Any) -> int:
    text = str(number)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else -1


def _reason(error: Exception) -> str:
    """Without the path of a file, which is nobody's business."""
    if isinstance(error, PairscopeError):
        return str(error)
    return f"{(isinstance(error, OSError) and error.strerror) or 'the disk gave no reason'}."
