"""`pairscope index`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import Json
from ui.cli.output import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from itr_core.gallery import Gallery
    from itr_core.retrieval.approximate import Settings


def index(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build`.")],
    as_json: Json = False,
) -> None:
    """Make an approximate index of a large gallery, by which searches are faster and need less memory.

    The index is kept in the cache of this machine, and searches, the app and its API use it from then on;
    their option `--exact` switches it off. It must find 99 % of the ten best results of sample queries.
    """
    from itr_core.gallery import Gallery
    from itr_core.retrieval.approximate import FEWEST

    start = time.perf_counter()
    opened = Gallery.open(gallery)
    made = make_indexes(opened)
    if as_json:
        seconds = round(time.perf_counter() - start, 2)
        print_json({of: each._asdict() for of, each in made.items()} | {"seconds": seconds})
    elif made:
        rows = [(of, f"{each.recall:.1%}", each.probes, each.candidates) for of, each in made.items()]
        columns = ("index of", "recall@10", "lists scanned", "scored exactly")
        print_table(str(gallery), columns, rows)
    else:
        typer.echo(
            f"{gallery} has {len(opened):,} images and {opened.manifest.captions:,} captions. Below "
            f"{FEWEST:,} an exact search takes about a millisecond, so no index was made."
        )


def make_indexes(gallery: "Gallery") -> "dict[str, Settings]":
    """Make and save the indexes of a gallery, with a progress bar."""
    from itr_core.retrieval.saved_index import save_indexes

    with progress_bar("Indexing") as progress:
        return save_indexes(gallery, progress)
