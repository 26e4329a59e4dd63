"""Hits as HTML: the grid of pictures, the list of captions, and the line that says how it went.

Everything is escaped here, on the server, by Jinja. Gradio's own templates would not do: they paste what
Handlebars made into a JavaScript template literal, so that a caption with `${...}` would run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, select_autoescape

from itr_core.retrieval.searcher import Hit

_templates = Environment(
    loader=PackageLoader("ui.web"), autoescape=select_autoescape(default=True), trim_blocks=True
)

# Results are HTML made on the server. One listener turns clicks on its buttons into events with their data.
CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-item], button[data-query]');
  if (button) trigger('select', {...button.dataset});
});
"""


def file_url(path: Path) -> str:
    """Address of a file under a static path, relative to the page so that it survives a proxy's prefix."""
    return f"gradio_api/file={quote(path.as_posix())}"


def share_link(**parameters: str | int) -> str:
    """Query string that reproduces a search.

    >>> share_link(q="red car", k=12)
    '?q=red+car&k=12'
    """
    return "?" + urlencode({name: value for name, value in parameters.items() if value != ""})


def render(template: str, **values: Any) -> str:
    """Fill in one of the page's templates; whatever goes in is escaped."""
    return _templates.get_template(template).render(url=file_url, **values)


def pictures(
    hits: Sequence[Hit], heading: str, *, ranked: bool = True, action: str = "search with this"
) -> str:
    """A grid of cards, best first; `ranked` says so. action: what a click on a picture does."""
    return render("pictures.html", hits=hits, heading=heading, ranked=ranked, action=action)


def captions(hits: Sequence[Hit], heading: str) -> str:
    """A ranked list of captions with their scores as bars (cosine, 0..1 of the bar)."""
    return _templates.get_template("captions.html").render(hits=hits, heading=heading)


def status(
    *,
    seconds: float | None = None,
    gallery: str = "",
    size: int = 0,
    link: str = "",
    map_link: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Say how long it took, the links that reproduce it and show it on the map, and what one should know."""
    return _templates.get_template("status.html").render(
        milliseconds=None if seconds is None else seconds * 1000,
        gallery=gallery,
        size=size,
        link=link,
        map_link=map_link,
        notes=notes,
    )


def waiting(name: str, done: int, total: int) -> str:
    """What is shown while a gallery is being made."""
    return _templates.get_template("waiting.html").render(name=name, done=done, total=total)
