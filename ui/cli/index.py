"""`pairscope index`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import Json
from ui.cli.output import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from itr_core.gallery import Gallery
    from itr_core.retrieval.approximate import Settings
    from itr_core.retrieval.filters import Of
    from itr_core.retrieval.milvus import MilvusSettings

ENGINES_HELP = (
    "faiss: an approximate index on this machine. milvus:http://HOST:PORT: an index on a Milvus server; its "
    "token is read from PAIRSCOPE_MILVUS_TOKEN. milvus:FILE.db: the same in a file of Milvus Lite."
)


def index(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build`.")],
    engine: Annotated[str, typer.Option("--index", metavar="ENGINE", help=ENGINES_HELP)] = "faiss",
    as_json: Json = False,
) -> None:
    """Make an index of a large gallery, by which searches are faster or need less memory of this machine.

    Searches, the app and its API use the index from then on; their option `--exact` switches it off. An
    approximate index must find 99 % of the ten best results of sample queries. Repeat the command to resume
    a stopped insertion into Milvus.
    """
    from itr_core.gallery import Gallery
    from itr_core.retrieval.approximate import FEWEST

    start = time.perf_counter()
    opened = Gallery.open(gallery, thumbnails=False)
    made = make_indexes(opened, engine)
    if as_json:
        seconds = round(time.perf_counter() - start, 2)
        print_json({of: each._asdict() for of, each in made.items()} | {"seconds": seconds})
    elif made:
        print_table(str(gallery), *_table(made))
    else:
        typer.echo(
            f"{gallery} has {len(opened):,} images and {opened.manifest.captions:,} captions. Below "
            f"{FEWEST:,} an exact search takes about a millisecond, so no index was made."
        )


def make_indexes(gallery: "Gallery", engine: str) -> "Mapping[Of, Settings | MilvusSettings]":
    """Make and save the indexes of a gallery, with a progress bar."""
    from itr_core.retrieval.saved_index import save_indexes

    with progress_bar("Indexing") as progress:
        return save_indexes(gallery, progress, engine=engine)


def _table(made: "Mapping[Of, Settings | MilvusSettings]") -> tuple[list[str], list[list[object]]]:
    """Return the columns and rows that show the settings of indexes."""
    names = {
        "probes": "lists scanned",
        "candidates": "scored exactly",
        "ef": "candidates",
    }
    fields = [name for name in next(iter(made.values()))._fields if name != "recall"]
    rows = [
        [of, f"{each.recall:.1%}", *(getattr(each, name) or "all" for name in fields)]
        for of, each in made.items()
    ]
    return ["index of", "recall@10", *(names[name] for name in fields)], rows
