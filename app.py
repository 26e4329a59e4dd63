"""Pairscope's front door: `python app.py`, also the entry point of a Hugging Face Space."""

import logging
import os
from typing import Annotated

# Gradio asks the network for analytics and newer versions unless told otherwise before its import.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import typer

from ui.pages.frame import CSS, HEAD, THEME, frame
from ui.pages.shelf import Shelf


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
    page = frame(Shelf(gallery or ["picturebook:gallery"], model))
    _, url, _ = page.queue(max_size=64).launch(
        server_name=host, server_port=port, prevent_thread_lock=not block, quiet=True, show_error=False,
        max_file_size="25mb", mcp_server=True, footer_links=["api"], theme=THEME, css_paths=CSS, head=HEAD,
        ssr_mode=False,
    )  # fmt: skip
    return str(url)


def main(
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            envvar="PAIRSCOPE_GALLERY", help="Gallery folder, or a source to build; repeat for several."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(envvar="PAIRSCOPE_MODEL", help="Model spec for sources.")
    ] = None,
    host: Annotated[str, typer.Option(envvar="PAIRSCOPE_HOST", help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PAIRSCOPE_PORT", help="TCP port.")] = 7860,
) -> None:
    """Serve the search page in the browser."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    print(f"Pairscope is at http://{host}:{port}", flush=True)
    launch(gallery, model, host, port)


if __name__ == "__main__":
    typer.run(main)
