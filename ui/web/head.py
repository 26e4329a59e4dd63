"""The head of the pages: title, description, icon and sharing picture of the product instead of Gradio's."""

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import jinja2
from gradio.routes import templates

from ui.web.boundary.served import serve_file

ASSETS = Path(str(files("assets")))
ICON = ASSETS / "icon.svg"
DESCRIPTION = "Search pictures with words and words with pictures, and see why it works and where it fails."
_TAGS = """
<title>Pairscope</title>
<meta name="description" content="{description}" />
<meta name="color-scheme" content="light dark" />
<meta property="og:site_name" content="Pairscope" />
<meta property="og:title" content="Pairscope" />
<meta property="og:description" content="{description}" />
<meta property="og:type" content="website" />
<meta property="og:image" content="{{{{ config.root }}}}/{picture}" />
<meta name="twitter:card" content="summary_large_image" />
<script>{display}</script>
<script>{links}</script>
<script>
  // Gradio's client closes its connection on this event, takes it for lost, and reloads the page after two
  // seconds, which cancels the visit of a page that has not answered by then. The browser closes it anyway.
  addEventListener('beforeunload', (event) => event.stopImmediatePropagation());
</script>
<style>
  /* Before Gradio adds the style sheet, so that nothing moves when it does. */
  html {{ overflow-y: scroll; }}
  .gradio-container {{ width: 100%; max-width: none !important; margin: 0 !important; }}
  .gradio-container {{ overflow: clip !important; }} /* with hidden, `position: sticky` has no effect */
  .gradio-container > .nav-holder {{ display: none; }} /* the masthead has the links */
  .gradio-container > .main {{ width: 100%; max-width: 1180px !important; margin: 0 auto !important; }}
  html[data-large] {{ font-size: 137.5%; }}
  html[data-large] .gradio-container > .main {{ max-width: 1500px !important; }}
  @media (max-width: 640px) {{
    html[data-large] {{ font-size: 120%; }}
    html[data-large] .masthead nav a {{ padding-inline: .1rem !important; }}
  }}
  body.dark {{ background: var(--bg-dark); color: var(--col-dark); }}
</style>
<style>{parts}</style>
"""
_DISPLAY, _LINKS, _PARTS = (
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("display.js", "links.js", "parts.css")
)
_CHARSET = '<meta charset="utf-8" />'  # has to come first
_OF_GRADIO = re.compile(r'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>')


class _OwnHead(jinja2.BaseLoader):
    """Load Gradio's templates of pages, which have no option for these tags, with ours in place of theirs."""

    def __init__(self, gradio: jinja2.BaseLoader, tags: str) -> None:
        self._gradio = gradio
        self._tags = tags

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Return the source of a template, its file, and whether it is up to date."""
        source, path, is_current = self._gradio.get_source(environment, template)
        return _OF_GRADIO.sub("", source).replace(_CHARSET, _CHARSET + self._tags, 1), path, is_current


def use_own_head() -> None:
    """Give the pages that this process serves our head."""
    picture = serve_file(ASSETS / "screenshot.webp")
    loader = templates.env.loader
    if loader is not None and not isinstance(loader, _OwnHead):
        templates.env.loader = _OwnHead(
            loader,
            _TAGS.format(
                description=DESCRIPTION, picture=picture, display=_DISPLAY, links=_LINKS, parts=_PARTS
            ),
        )
