"""`pairscope demo`, also run by `python app.py`."""

import logging
from typing import Annotated

import typer


def demo(
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            envvar="PAIRSCOPE_GALLERY",
            help="Gallery folder, or a source to build a gallery from. Can be repeated. "
            "Default: picturebook:gallery.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="PAIRSCOPE_MODEL",
            help="Model for sources (default: starter:infonce), and for galleries whose model was named on "
            "another machine or has another name now.",
        ),
    ] = None,
    host: Annotated[  # Hugging Face Spaces set the variables of Gradio
        str,
        typer.Option(
            envvar=["PAIRSCOPE_HOST", "GRADIO_SERVER_NAME"],
            help="Network interface to listen on; 0.0.0.0 for all.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(envvar=["PAIRSCOPE_PORT", "GRADIO_SERVER_PORT"], min=1, max=65535, help="TCP port."),
    ] = 7860,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            envvar="PAIRSCOPE_PROXY",
            help="Address or network of a reverse proxy whose X-Forwarded headers are believed. "
            "Can be repeated.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            envvar="PAIRSCOPE_RATE",
            min=0,
            help="Factor for the numbers of requests that a visitor may send per second; 0 for no limit.",
        ),
    ] = 1.0,
) -> None:
    """Serve the browser app."""
    from ui.web.app import launch

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    typer.echo(f"Serving Pairscope at http://{host}:{port}", err=True)
    launch(gallery, model, host, port, proxies=proxy or (), rate=rate)
