"""The picture of the day: find a hidden picture with words; the rank of the picture is the hint."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from analysis.ground_truth import truth_of
from analysis.picture_of_the_day import FIRST_DAY, hidden_row, judged_facts, rank_of, solving_rank
from itr_core.errors import QueryError
from itr_core.retrieval.searcher import Searcher
from ui.web.boundary.served import thumbnail_url
from ui.web.errors import show_errors
from ui.web.galleries import Galleries
from ui.web.html import raw
from ui.web.learn.panel import LONGEST_TEXT, Panel, module

_show_errors = show_errors(lambda message: {"error": message})


def add_daily(galleries: Galleries) -> None:
    """Add the panel to the open Blocks."""
    game = DailyGame(galleries)

    # Gradio marks these functions, which it cannot do with methods.
    def start(day: Any) -> dict[str, Any]:
        return game.start(day)

    def guess(asked: Any) -> dict[str, Any]:
        return game.guess(asked)

    def reveal(day: Any) -> dict[str, Any]:
        return game.reveal(day)

    module(
        Path(__file__).with_name("daily.js"),
        raw("learn_daily.html"),
        server_functions=[start, guess, reveal],
        longest=LONGEST_TEXT,
        elem_id="daily",
    )


class DailyGame:
    """What the server knows of the game. The browser keeps the guesses; the server keeps nothing.

    The address of the hidden picture is in no answer before the picture is found or the visitor gives up.
    All arguments come from the browser and can be anything.
    """

    def __init__(self, galleries: Galleries) -> None:
        self._galleries = galleries

    @_show_errors
    def start(self, day: Any) -> dict[str, Any]:
        """Return the day, today and the size of the gallery, or the progress of a gallery that loads."""
        if progress := self._galleries.progress(self._galleries.names[0]):
            return {"waiting": progress}
        searcher, _ = self._hidden(day)
        size = len(searcher.gallery)
        return {
            "day": _day(day).isoformat(), "today": _today().isoformat(), "size": size,
            "solving": solving_rank(size),
            "synthetic": searcher.gallery.manifest.source.startswith("picturebook"),
        }  # fmt: skip

    @_show_errors
    def guess(self, asked: Any) -> dict[str, Any]:
        """Return the rank of the hidden picture for [day, words], and the answer if the rank solves it."""
        day, words = _day_and_words(asked)
        searcher, row = self._hidden(day)
        rank = rank_of(searcher.gallery.image_embeddings, searcher.embed_text(words), row)
        solved = rank <= solving_rank(len(searcher.gallery))
        (best,) = searcher.search_text(words, 1)
        truth = truth_of(searcher.gallery, [row])
        return {
            "rank": rank,
            "facts": judged_facts(words, truth.scenes[0]) if truth else [],
            "best": "" if solved else thumbnail_url(best.thumbnail),
            "answer": _answer(searcher, row) if solved else None,
        }

    @_show_errors
    def reveal(self, day: Any) -> dict[str, Any]:
        """Return the answer to a visitor who has found it or gives up."""
        return {"answer": _answer(*self._hidden(day))}

    def _hidden(self, day: Any) -> tuple[Searcher, int]:
        searcher = self._galleries.searcher(self._galleries.names[0], timeout=0)
        return searcher, hidden_row(_day(day), searcher.gallery.items["image_id"].tolist())


def _today() -> date:
    return datetime.now(UTC).date()


def _day(day: Any) -> date:
    """Return a day that the browser sent; "" is today."""
    if not day:
        return _today()
    try:
        chosen = date.fromisoformat(str(day))
    except ValueError:
        chosen = date.max
    if not FIRST_DAY <= chosen <= _today():
        raise QueryError(
            f"day={str(day)[:20]}: there are pictures from {FIRST_DAY} until today, {_today()} (UTC). "
            "Write a day as 2026-01-31."
        )
    return chosen


def _day_and_words(asked: Any) -> tuple[Any, str]:
    if not (isinstance(asked, list) and len(asked) == 2 and isinstance(asked[1], str)):
        raise QueryError("A guess is a day and a text.")
    day, words = asked
    if len(words) > LONGEST_TEXT:
        raise QueryError(
            f"This guess has {len(words)} characters. Use at most {LONGEST_TEXT}: a sentence is enough."
        )
    return day, words


def _answer(searcher: Searcher, row: int) -> dict[str, Any]:
    item = searcher.gallery.items.iloc[row]
    return {
        "url": thumbnail_url(searcher.gallery.path / item["thumbnail"]),
        "captions": list(item["captions"]),
        "item": item["image_id"],
    }


DAILY = Panel(
    "daily",
    "Picture of the day",
    "One picture is hidden, the same for everyone. Describe it: its rank tells how close your words are.",
    "Measure and play",
    add_daily,
)
