"""What stands around every page: theme, style, header."""

from pathlib import Path

import gradio as gr

from ui.pages.analysis.page import analysis_page
from ui.pages.search import search_page
from ui.pages.shelf import Shelf

CSS = Path(__file__).with_name("style.css")
HEAD = '<meta name="color-scheme" content="light dark">'
# System fonts only: the default theme would ask a font service for its own.
THEME = gr.themes.Soft(
    primary_hue="teal", secondary_hue="orange", neutral_hue="stone", radius_size="lg",
    font=["ui-rounded", "system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"],
).set(
    block_label_background_fill="transparent", block_label_text_color="*body_text_color_subdued",
    block_title_background_fill="transparent", block_title_text_color="*body_text_color_subdued",
    body_text_color_subdued="*neutral_500",
    block_title_padding="0", block_border_width="1px", input_background_fill="*background_fill_primary",
)  # fmt: skip
TITLE = """
<header id="masthead">
  <h1>Pairscope</h1>
  <p>Search pictures with words and words with pictures.</p>
</header>
"""


def frame(shelf: Shelf) -> gr.Blocks:
    """The whole app as Blocks."""
    with gr.Blocks(title="Pairscope", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Navbar(main_page_name="Search")
        gr.HTML(TITLE)
        search_page(page, shelf)
    with page.route("Analysis", "/analysis"):
        gr.Navbar(main_page_name="Search")
        gr.HTML(TITLE)
        analysis_page(page, shelf)
    return page
