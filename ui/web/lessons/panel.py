"""The lessons: a panel for each, with its content and the numbers that its tool computes with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from analysis.example_batch import example_batch
from analysis.gallery_analysis import GalleryAnalysis
from analysis.lesson_data import MOST_SEED, batch_vectors, lengths, negatives, support
from itr_core.errors import QueryError
from itr_core.retrieval.searcher import Searcher
from ui.web.boundary.served import thumbnail_url
from ui.web.errors import show_errors
from ui.web.galleries import Galleries
from ui.web.html import raw
from ui.web.learn.panel import LONGEST_TEXT, Panel, module
from ui.web.lessons.lesson import CONTENT, ORDER, Lesson, read_lesson

TOOLS_OF_THE_PAGE = ("matrix",)
"""Tools that are panels of their own; all others belong to the lesson."""
HIDABLE = {
    "list": "the way back to the list",
    "back": "the button Back",
    "restart": "the button Start again",
    "answers": "the download of answers",
    "teacher": "this form",
}
"""Controls that a teacher's link can hide."""
_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_Data = Callable[[GalleryAnalysis, Searcher, int], dict[str, Any]]


def lesson_panels() -> tuple[Panel, ...]:
    """Return the panels of all lessons, in their order."""
    panels = []
    for number, name in enumerate(ORDER, 1):
        lesson = read_lesson(CONTENT / f"{name}.yaml")
        tools = (lesson.tool,) if lesson.tool in TOOLS_OF_THE_PAGE else ()
        panels.append(
            Panel(
                f"lesson-{name}",
                f"{number}. {lesson.title}",
                f"{lesson.summary} {lesson.minutes} minutes.",
                "Lessons",
                partial(_add, name=name, lesson=lesson),
                tools,
            )
        )
    return tuple(panels)


def _add(galleries: Galleries, *, name: str, lesson: Lesson) -> None:
    """Add a lesson to the open Blocks."""

    @show_errors(lambda message: {"error": message})
    def data(asked: Any) -> dict[str, Any]:
        gallery, seed = _gallery_and(asked)
        gallery = gallery or galleries.names[0]
        if progress := galleries.progress(gallery):
            return {"waiting": progress}
        if not (isinstance(seed, int) and 0 <= seed <= MOST_SEED):
            raise QueryError(f"seed={str(seed)[:20]}: the seed must be a whole number from 0 to {MOST_SEED}.")
        analysis, searcher = galleries.analysis(gallery), galleries.searcher(gallery)
        return _DATA[lesson.tool](analysis, searcher, seed)

    @show_errors(lambda message: {"error": message})
    def encode(asked: Any) -> dict[str, Any]:
        gallery, text = _gallery_and(asked)
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            raise QueryError(f"A text of at most {LONGEST_TEXT} characters is expected.")
        searcher = galleries.searcher(gallery or galleries.names[0], timeout=0)
        return {"text": searcher.embed_text(text).astype(float).tolist()}

    module(
        Path(__file__).with_name("lesson.js"),
        raw("lesson.html"),
        server_functions=[data, encode],
        lesson={"name": name, **_shown(lesson)},
        hidable=HIDABLE,
        most_seed=MOST_SEED,
        longest=LONGEST_TEXT,
        elem_id=f"lesson-player-{name}",
    )


def _gallery_and(asked: Any) -> tuple[str, Any]:
    """Return a gallery ("": the first) and another value, both of which the browser sent."""
    if not (isinstance(asked, list) and len(asked) == 2 and isinstance(asked[0], str)):
        raise QueryError("A gallery and a value are expected.")
    return asked[0], asked[1]


def _shown(lesson: Lesson) -> dict[str, Any]:
    """Return the lesson for the script, its texts as HTML."""
    shown = lesson.model_dump(mode="json", exclude_none=True)
    for step in shown["steps"]:
        step["text"] = _html(step["text"])
        if "ask" in step:
            step["ask"]["why"] = _html(step["ask"]["why"])
        if "act" in step:
            step["act"]["then"] = _html(step["act"]["then"])
    shown["sources"] = [_html(each) for each in lesson.sources]
    return shown


def _html(text: str) -> str:
    return _MARKDOWN.render(text)


# ---- what the tools compute with


def _batch(analysis: GalleryAnalysis, searcher: Searcher, seed: int) -> dict[str, Any]:
    gallery = analysis.gallery
    batch = example_batch(gallery, seed=seed)
    return {
        "pictures": _pictures(analysis, batch.images),
        "captions": [analysis.captions[row] for row in batch.captions],
        "twin": batch.twin,
        **batch_vectors(gallery, batch.images, batch.captions),
    }


def _with_twin(analysis: GalleryAnalysis, searcher: Searcher, seed: int) -> dict[str, Any]:
    found = _batch(analysis, searcher, seed)
    if not found["twin"]:
        raise QueryError(
            "This gallery has no picture with two captions, which the lesson needs. Start the app without "
            "--gallery: Picturebook has them."
        )
    return found


def _queue(analysis: GalleryAnalysis, searcher: Searcher, seed: int) -> dict[str, Any]:
    found = negatives(analysis.gallery, analysis.truth, seed=seed)
    return {
        "pictures": _pictures(analysis, [found.image]),
        "caption": analysis.captions[found.caption],
        "positive": found.positive,
        "cosines": found.cosines.round(4).tolist(),
        "captions": [analysis.captions[row] for row in found.rows],
        "true": None if found.true is None else found.true.tolist(),
    }


def _lengths(analysis: GalleryAnalysis, searcher: Searcher, seed: int) -> dict[str, Any]:
    found = lengths(analysis.gallery, analysis.truth, searcher, seed=seed)
    return {
        **found._asdict(),
        "pictures": _pictures(analysis, [found.image]),
        "size": len(analysis.gallery),
    }


def _support(analysis: GalleryAnalysis, searcher: Searcher, seed: int) -> dict[str, Any]:
    found = support(analysis.gallery, seed=seed)
    return {
        "pictures": _pictures(analysis, found.images),
        "captions": [analysis.captions[row] for row in found.captions],
        "labels": found.labels,
        **batch_vectors(analysis.gallery, found.images, found.captions),
    }


def _pictures(analysis: GalleryAnalysis, rows: Any) -> list[str]:
    gallery = analysis.gallery
    return [thumbnail_url(gallery.path / each) for each in gallery.items["thumbnail"].iloc[list(rows)]]


_DATA: dict[str, _Data] = {
    "towers": _batch,
    "space": _batch,
    "labels": _with_twin,
    "queue": _queue,
    "lengths": _lengths,
    "support": _support,
}
