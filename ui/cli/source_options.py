"""The options of all commands that read a source."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from itr_core.errors import SourceError
from ui.cli.output import print_warning

if TYPE_CHECKING:
    from itr_core.pairs import PairSet

Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME[,NAME]",
        help="Columns of the source, if they are not recognised, such as captions=alt_text; captions= if "
        "there are no captions. Roles: image, captions, image_id, labels. Can be repeated.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Files and folders of a folder or archive to leave out, such as '*.png'. Can be repeated.",
    ),
]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Also read what symbolic links of the source lead to.")
]
MaxMegapixels = Annotated[
    float | None, typer.Option(help="Largest image that is read, in million pixels.", show_default="50")
]
Stream = Annotated[
    bool,
    typer.Option(
        "--stream", help="Do not download a data set of the hub: read its images when they are used."
    ),
]


@dataclass(frozen=True)
class SourceOptions:
    """The values of the options: each field is an option of the command line."""

    columns: Columns = None
    image_root: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Folder of the images, if the files are not where the source says."
        ),
    ] = None
    limit: Annotated[int | None, typer.Option(help="Use only the first LIMIT images.")] = None
    exclude: Exclude = None
    follow_links: FollowLinks = False
    max_megapixels: MaxMegapixels = None
    stream: Stream = False

    def open(self, spec: str) -> "PairSet":
        """Load the pairs of a source, and print what was changed while they were read."""
        from itr_core.pairs import load_pairs

        pairs = load_pairs(
            spec,
            columns=parse_columns(self.columns),
            image_root=self.image_root,
            limit=self.limit,
            exclude=self.exclude or (),
            follow_links=self.follow_links,
            max_megapixels=self.max_megapixels,
            stream=self.stream,
        )
        for note in pairs.notes:
            print_warning(note)
        return pairs


def with_source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command with a parameter `options: SourceOptions`: typer sees its fields in its place."""
    hints = get_type_hints(SourceOptions, include_extras=True)

    @wraps(command)
    def run(**arguments: Any) -> None:
        values = {field.name: arguments.pop(field.name) for field in fields(SourceOptions)}
        command(**arguments, options=SourceOptions(**values))

    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        each = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        if parameter.name != "options":
            parameters.append(each)
            continue
        parameters += [
            each.replace(name=field.name, default=field.default, annotation=hints[field.name])
            for field in fields(SourceOptions)
        ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    return run


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
