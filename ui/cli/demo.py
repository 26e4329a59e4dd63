"""`pairscope demo`, which is also `python app.py`."""

import logging
from typing import Annotated

import typer


def demo(
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            envvar="PAIRSCOPE_GALLERY",
            help="Gallery folder, or a source to build a gallery from. Repeat for several. "
            "Default: Picturebook's gallery.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(envvar="PAIRSCOPE_MODEL", help="Model spec for sources. Default: starter:infonce."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(envvar="PAIRSCOPE_HOST", help="Network interface to listen on; 0.0.0.0 for all."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PAIRSCOPE_PORT", help="TCP port.")] = 7860,
) -> None:
    """Serve the app in the browser."""
    from ui.web.app import launch

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    typer.echo(f"Pairscope is at http://{host}:{port}", err=True)
    launch(gallery, model, host, port)
