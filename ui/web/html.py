"""HTML of results, filled from the templates; also links, and data of browser events.

Jinja escapes every value on the server. Gradio's own templates are not safe for captions: they paste the
output of Handlebars into a JavaScript template literal, where a caption with `${...}` would be executed.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from jinja2 import Environment, PackageLoader, select_autoescape

from analysis.corrections import Part
from itr_core.retrieval.searcher import Hit
from ui.web.boundary.served import thumbnail_url

_templates = Environment(
    loader=PackageLoader("ui.web"), autoescape=select_autoescape(default=True), trim_blocks=True
)

# Turns clicks on the buttons of results into events with the buttons' data.
CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-item], button[data-query]');
  if (button) trigger('select', {...button.dataset});
});
"""


def event_value(event: gr.EventData, name: str) -> Any:
    """Return the value that the browser sent with an event: of any type, and None if it is missing."""
    try:
        return getattr(event, name, None)
    except (TypeError, LookupError):  # the browser sent no object
        return None


def share_link(**parameters: str | int) -> str:
    """Return the query string that reproduces a search.

    >>> share_link(q="red car", k=12)
    '?q=red+car&k=12'
    """
    return "?" + urlencode({name: value for name, value in parameters.items() if value != ""})


def render(template: str, **values: Any) -> str:
    """Return a filled template; all values are escaped."""
    return _templates.get_template(template).render(url=thumbnail_url, **values)


def raw(template: str) -> str:
    """Return a template that has no values, for a component whose script fills it in."""
    return _templates.get_template(template).render()


def pictures(
    hits: Sequence[Hit],
    heading: str,
    *,
    hint: str = "",
    ranked: bool = True,
    action: str = "search with this",
    likely: int | None = None,
    why: str | None = None,
    truth: Any = None,
) -> str:
    """Return a grid of pictures, best first, with ranks and scores if `ranked`.

    Args:
        hits: The pictures.
        heading: Heading of the grid.
        hint: Sentence below the heading.
        ranked: Show ranks and scores.
        action: What a click on a picture does, in a few words.
        likely: Number of first pictures that are shown at once, with a button for the others; None for all.
            To guess, the visitor sees all.
        why: Each picture has buttons for its explanation and for more like it; this is the value of `minus`
            that the explanation takes (see `ui.web.search.composed`), "" for that of the address. None for
            no buttons.
        truth: Marks on the pictures (`ui.web.search.marks.Marks`); None for none.
    """
    return render(
        "pictures.html",
        hits=hits, heading=heading, hint=hint, ranked=ranked, action=action, why=why, truth=truth,
        likely=len(hits) if likely is None or (truth and truth.guess) else likely,
    )  # fmt: skip


def shortened(text: str, longest: int = 80) -> str:
    """Return a text in one line of at most `longest` characters."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def captions(hits: Sequence[Hit], heading: str, marks: Sequence[Any] = ()) -> str:
    """Return a ranked list of captions with their scores as bars (cosine, 0 to 1).

    Args:
        hits: The captions.
        heading: Heading of the list.
        marks: The mark of each caption (`ui.web.search.marks.Mark`), None for none.
    """
    return render("captions.html", hits=hits, heading=heading, marks=marks)


def status(
    *,
    seconds: float | None = None,
    gallery: str = "",
    size: int = 0,
    approximate: bool = False,
    link: str = "",
    map_link: str = "",
    compare_link: str = "",
    notes: Sequence[str] = (),
    verdict: Mapping[str, str] | None = None,
    meant: Sequence[Part] = (),
) -> str:
    """Return the line below the search form.

    Args:
        seconds: Duration of the search; None if there was none.
        gallery: Name of the gallery.
        size: Number of its pictures.
        approximate: Whether they were searched with an approximate index.
        link: Address that reproduces the search.
        map_link: Address that shows the query on the map.
        compare_link: Address that compares several models on the query.
        notes: Warnings and errors, one paragraph each.
        verdict: Whether the first result is likely to match: see `ui.web.search.confidence.verdict_line`.
        meant: The query that was probably meant, which is offered.
    """
    milliseconds = None if seconds is None else seconds * 1000
    return render(
        "status.html",
        milliseconds=milliseconds, gallery=gallery, size=size, approximate=approximate, link=link,
        map_link=map_link, notes=notes, compare_link=compare_link, verdict=verdict, meant=meant,
    )  # fmt: skip


def note(message: str) -> str:
    """Return a warning or an error as one paragraph."""
    return status(notes=[message])


def notes(messages: Sequence[str]) -> str:
    """Return warnings, one paragraph each; "" without any."""
    return status(notes=messages) if messages else ""


def waiting(name: str, done: int, total: int) -> str:
    """Return the progress of a gallery that is being built, in pictures."""
    return render("waiting.html", name=name, done=done, total=total)


def share(rate: float) -> str:
    """Return a share for people.

    >>> share(0.034), share(0.002)
    ('3 %', 'under 1 %')
    """
    return "under 1 %" if rate < 0.01 else f"{100 * rate:.0f} %"
