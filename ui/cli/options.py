"""What the commands have in common: options, tables, JSON on stdout, everything else on stderr."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from itr_core.errors import PairscopeError, SourceError

if TYPE_CHECKING:
    from itr_core.pairs import PairSet

SOURCE_HELP = (
    "picturebook[:split], folder:PATH, parquet:FILE, karpathy:FILE.json[:split], coco:FILE.json, "
    "hub:ORG/NAME[:split], or a plain path."
)
MODEL_HELP = (
    "starter:METHOD, NAME/PRETRAINED, hf-hub:ORG/REPO, local-dir:PATH, or the path of a checkpoint folder."
)

Source = Annotated[str, typer.Argument(help=SOURCE_HELP)]
Model = Annotated[str, typer.Option(help=MODEL_HELP)]
Device = Annotated[str | None, typer.Option(help="cpu, cuda[:n] or mps; the best there is by default.")]
Limit = Annotated[int | None, typer.Option(help="Only so many images, the first ones.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME[,NAME]",
        help="The source's columns where they are not recognised, such as captions=alt_text. Roles: image, "
        "captions, image_id, labels. Repeat for several.",
    ),
]
ImageRoot = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Folder of the images, where the source names files elsewhere."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def parse_columns(columns: Sequence[str] | None) -> dict[str, Any] | None:
    """["captions=a,b"] -> {"captions": ["a", "b"]}; a single name stays as it is. Raises SourceError."""
    parsed: dict[str, Any] = {}
    for item in columns or ():
        role, equals, names = item.partition("=")
        if not equals:
            raise SourceError(f"--columns {item}: write ROLE=NAME, such as captions=alt_text.")
        parsed[role] = names.split(",") if "," in names else names
    return parsed or None


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """["alpha=0.1", "scheme=exp"] -> {"alpha": 0.1, "scheme": "exp"}; values as in JSON."""
    parsed: dict[str, Any] = {}
    for item in options:
        name, equals, value = item.partition("=")
        if not equals:
            raise PairscopeError(f"--options {item}: write NAME=VALUE, such as alpha=0.1.")
        try:
            parsed[name] = json.loads(value)
        except ValueError:  # a word
            parsed[name] = value
    return parsed


def open_source(
    spec: str, columns: Sequence[str] | None = None, image_root: str | None = None, limit: int | None = None
) -> "PairSet":
    """`load_pairs` with the options as the command line has them."""
    from itr_core.pairs import load_pairs

    return load_pairs(spec, columns=parse_columns(columns), image_root=image_root, limit=limit)
