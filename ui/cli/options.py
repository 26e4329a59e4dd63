"""Options that several commands share, and the parsing of their values."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from itr_core.errors import PairscopeError, SourceError
from ui.cli.output import print_warning

if TYPE_CHECKING:
    from itr_core.pairs import PairSet

SOURCE_HELP = (
    "picturebook[:split], folder:PATH, table:FILE.csv, parquet:FILE, karpathy:FILE.json[:split], "
    "coco:FILE.json, hub:ORG/NAME[:split], or a plain path."
)
MODEL_HELP = (
    "starter:METHOD, NAME/PRETRAINED, hf-hub:ORG/REPO[@REVISION], local-dir:PATH, or the path of a "
    "checkpoint folder."
)

Source = Annotated[str, typer.Argument(help=SOURCE_HELP)]
Model = Annotated[str, typer.Option(help=MODEL_HELP)]
Device = Annotated[str | None, typer.Option(help="cpu, cuda[:n] or mps. Default: the best available.")]
Limit = Annotated[int | None, typer.Option(help="Use only the first LIMIT images.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME[,NAME]",
        help="Columns of the source, if they are not recognised, such as captions=alt_text; captions= if "
        "there are no captions. Roles: image, captions, image_id, labels. Can be repeated.",
    ),
]
ImageRoot = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Folder of the images, if the files are not where the source says."),
]
RerankWeight = Annotated[
    float,
    typer.Option(help="Weight of the word-patch similarity in re-ranking, 0 to 1; the cosine has the rest."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def parse_columns(columns: Sequence[str] | None) -> dict[str, Any] | None:
    """Parse the values of --columns: ["captions=a,b"] -> {"captions": ["a", "b"]}; one name stays a string.

    No name is an empty list: ["captions="] -> {"captions": []}.

    Raises:
        SourceError: A value is not of the form ROLE=NAME.
    """
    parsed: dict[str, Any] = {}
    for item in columns or ():
        role, equals, names = item.partition("=")
        if not equals:
            raise SourceError(f"--columns {item}: write ROLE=NAME, such as captions=alt_text.")
        parsed[role] = names.split(",") if "," in names else names or []
    return parsed or None


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Parse the values of --options: ["alpha=0.1", "scheme=exp"] -> {"alpha": 0.1, "scheme": "exp"}.

    Values are JSON; what is not JSON is a string.

    Raises:
        PairscopeError: A value is not of the form NAME=VALUE.
    """
    parsed: dict[str, Any] = {}
    for item in options:
        name, equals, value = item.partition("=")
        if not equals:
            raise PairscopeError(f"--options {item}: write NAME=VALUE, such as alpha=0.1.")
        try:
            parsed[name] = json.loads(value)
        except ValueError:
            parsed[name] = value
    return parsed


def open_source(
    spec: str, columns: Sequence[str] | None = None, image_root: str | None = None, limit: int | None = None
) -> "PairSet":
    """Load pairs with the options of the command line, and print what was changed while they were read."""
    from itr_core.pairs import load_pairs

    pairs = load_pairs(spec, columns=parse_columns(columns), image_root=image_root, limit=limit)
    for note in pairs.notes:
        print_warning(note)
    return pairs
