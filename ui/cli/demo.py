"""`pairscope demo`, also run by `python app.py`."""

import logging
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from itr_core.errors import PairscopeError
from itr_core.system.garbage import without_search
from ui.cli.options import Exact, RuntimeName, Thumbnails, parse_thumbnails
from ui.cli.output import PrintableFormatter

GALLERY_VARIABLE, MODEL_VARIABLE = "PAIRSCOPE_GALLERY", "PAIRSCOPE_MODEL"


def demo(
    galleries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="GALLERY",
            help="Gallery folders, galleries of the hub (hub-gallery:ORG/NAME), or sources such as a folder "
            "of photos, from which galleries are built. "
            f"Default: those of the environment variable {GALLERY_VARIABLE}, else picturebook:gallery.",
            show_default=False,
        ),
    ] = None,
    gallery: Annotated[
        list[str] | None, typer.Option(help="The same as GALLERY. Can be repeated.", show_default=False)
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model for sources, and for galleries whose model was named on another machine or has "
            "another name now. Can be repeated: visitors then choose one, and the first is shown first. "
            f"Default: those of the environment variable {MODEL_VARIABLE}, else starter:infonce, and for "
            "Picturebook also the other starters.",
            show_default=False,
        ),
    ] = None,
    runtime: Annotated[
        RuntimeName | None,
        typer.Option(
            envvar="PAIRSCOPE_RUNTIME",
            metavar="torch|onnx|openvino",
            help="What runs the models: torch, or exports of them (`pairscope export`). Default: torch.",
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
    exact: Exact = False,
    thumbnails: Thumbnails = None,
    seeds: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="MODEL MODEL",
            help="Two models that differ in their random seed only. The page Compare shows whether other "
            "models differ more than these two. Default: two starters for which this is so.",
            show_default=False,
        ),
    ] = None,
    verdicts: Annotated[
        bool | None,
        typer.Option(
            envvar="PAIRSCOPE_VERDICTS",
            help="Whether visitors can give verdicts on misses. Default: only if no other machine can reach "
            "the app.",
        ),
    ] = None,
    judgments: Annotated[
        Path | None,
        typer.Option(
            envvar="PAIRSCOPE_JUDGMENTS",
            exists=True,
            dir_okay=False,
            help="Expert judgments in the layout of Flickr8k's ExpertAnnotations.txt. In galleries of these "
            "pictures, the results of a judged caption are marked by them.",
        ),
    ] = None,
) -> None:
    """Serve the browser app."""
    from itr_core.gallery import is_gallery
    from itr_core.gallery.hub import local_gallery
    from itr_core.pairs import check_spec

    log = logging.StreamHandler()
    log.setFormatter(PrintableFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[log])
    for library in ("faiss.loader", "httpx"):  # each try to load a file, and requests of Gradio to itself
        logging.getLogger(library).setLevel(logging.WARNING)
    named = [*(galleries or ()), *(gallery or ())] or _of_environment(GALLERY_VARIABLE)
    models = model or _of_environment(MODEL_VARIABLE)
    pictures = [local_gallery(each) for each in named]
    moved = parse_thumbnails(thumbnails or (), [each for each in pictures if is_gallery(Path(each))])
    for each in pictures:  # a wrong one is told before the app is imported, which takes seconds
        check_spec(each)
    with without_search():
        from ui.web.app import launch

    typer.echo(f"Serving Pairscope at http://{host}:{port}", err=True)
    launch(
        pictures or None, models or None, host, port, proxies=proxy or (), rate=rate, verdicts=verdicts,
        seeds=seeds, judgments=judgments, runtime=runtime, exact=exact, thumbnails=moved,
    )  # fmt: skip


def _of_environment(variable: str) -> list[str]:
    """Return the specs in an environment variable: one path, or several specs quoted as in a shell.

    Raises:
        PairscopeError: a quotation mark is not closed.
    """
    value = os.environ.get(variable, "")
    if value and Path(os.path.expanduser(value)).exists():  # a path may contain spaces
        return [value]
    try:
        return shlex.split(value)
    except ValueError as error:
        raise PairscopeError(
            f"{variable}={value}: {str(error).lower()}. Quote paths with spaces as in a shell: "
            "'my photos' picturebook:gallery."
        ) from error
