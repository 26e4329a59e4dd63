"""Options that several commands share, and the parsing of their values."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from itr_core.errors import PairscopeError, did_you_mean

SOURCE_HELP = (
    "picturebook[:split], folder:PATH, archive:FILE.zip, table:FILE.csv, parquet:FILE, "
    "karpathy:FILE.json[:split], coco:FILE.json, hub:ORG/NAME[:split], mirflickr:PATH[:split], nuswide:, "
    "cub:, sop:, inshop:, precomp:PATH:split, arrays:PATH[:split], or a plain path."
)
MODEL_HELP = (
    "starter:METHOD, NAME/PRETRAINED, hf-hub:ORG/REPO[@REVISION], transformers:ORG/REPO[@REVISION], "
    "sentence-transformers:ORG/REPO[@REVISION], local-dir:PATH, or the path of a checkpoint folder."
)

Source = Annotated[str, typer.Argument(help=SOURCE_HELP)]
Model = Annotated[str, typer.Option(help=MODEL_HELP)]
Device = Annotated[str | None, typer.Option(help="cpu, cuda[:n] or mps. Default: the best available.")]
RuntimeName = Literal["torch", "onnx", "openvino"]
Runtime = Annotated[
    RuntimeName | None,
    typer.Option(
        metavar="torch|onnx|openvino",
        help="What runs the model: torch, or an export of it (`pairscope export`). Default: torch.",
    ),
]
RerankWeight = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Weight of the word-patch similarity, 0 to 1; the cosine has the rest. Default: that of the "
        "model's training, or 0.8.",
    ),
]
Exact = Annotated[bool, typer.Option("--exact", help="Ignore the index that `pairscope index` made.")]
Thumbnails = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GALLERY=PREFIX",
        help="Where the files of a gallery's folder `thumbnails` are, if they were moved: https://HOST/PATH, "
        "a folder, or s3://BUCKET/PATH after pip install s3fs. Can be repeated.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def parse_thumbnails(values: Sequence[str], galleries: Sequence[str]) -> dict[str, str]:
    """Parse the values of --thumbnails into the prefix of each gallery, and look for thumbnails there.

    Raises:
        PairscopeError: A value is not of the form GALLERY=PREFIX, names none of these galleries, or the
            thumbnails are not there.
    """
    parsed = {}
    for value in values:
        gallery, _, prefix = value.partition("=")
        if not prefix or gallery not in galleries:
            raise PairscopeError(
                f"--thumbnails {value}: write GALLERY=PREFIX with a gallery folder as it is named here."
                f"{did_you_mean(gallery, galleries)}"
            )
        parsed[gallery] = prefix
    if parsed:
        from itr_core.gallery.manifest import Manifest
        from itr_core.gallery.thumbnail_store import ThumbnailStore  # imports httpx

        for gallery, prefix in parsed.items():
            ThumbnailStore(prefix, Manifest.read(Path(gallery)).files).check()
    return parsed


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
