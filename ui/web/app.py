"""What stands around every page: theme, style, header."""

from pathlib import Path

import gradio as gr

from ui.web.analysis.page import analysis_page
from ui.web.galleries import Galleries
from ui.web.search.page import search_page

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


def frame(galleries: Galleries) -> gr.Blocks:
    """The whole app as Blocks."""
    with gr.Blocks(title="Pairscope", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Navbar(main_page_name="Search")
        gr.HTML(TITLE)
        search_page(page, galleries)
    with page.route("GalleryAnalysis", "/analysis"):
        gr.Navbar(main_page_name="Search")
        gr.HTML(TITLE)
        analysis_page(page, galleries)
    return page


def launch(
    gallery: list[str] | None = None,
    model: str | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    block: bool = True,
) -> str:
    """Serve the app and return its address.

    Args:
        gallery: folders made by `pairscope build`, or sources, which are built first;
            default: Picturebook's gallery.
        model: spec of the dual encoder for sources; default: `starter:infonce`.
        host: interface to listen on; `0.0.0.0` for every one.
        port: TCP port.
        block: serve until interrupted; False returns once the app answers.
    """
    page = frame(Galleries(gallery or ["picturebook:gallery"], model))
    _, url, _ = page.queue(max_size=64).launch(
        server_name=host, server_port=port, prevent_thread_lock=not block, quiet=True, show_error=False,
        max_file_size="25mb", mcp_server=True, footer_links=["api"], theme=THEME, css_paths=CSS, head=HEAD,
        ssr_mode=False,
    )  # fmt: skip
    return str(url)
