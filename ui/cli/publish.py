"""`pairscope publish`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.output import print_json, print_line, print_table, print_warning

if TYPE_CHECKING:
    from ui.publish import Contents

app = typer.Typer(
    no_args_is_help=True,
    help="Publish the app, a model or a gallery on the Hugging Face hub. Log in first: `hf auth login`.",
)

Repository = Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository on the hub.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the files and their sizes, and send nothing.")]
Private = Annotated[bool, typer.Option("--private", help="Make a new repository private.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the files and their sizes as JSON.")]


@app.command()
def space(
    repository: Repository,
    gallery: Annotated[
        str,
        typer.Option(help="What the Space shows: PAIRSCOPE_GALLERY, such as hub-gallery:ORG/NAME@REVISION."),
    ] = "",
    model: Annotated[
        str, typer.Option(help="Its model: PAIRSCOPE_MODEL, such as hf-hub:ORG/NAME@REVISION.")
    ] = "",
    dry_run: DryRun = False,
    private: Private = False,
    as_json: AsJson = False,
) -> None:
    """Publish the app of this repository as a Space."""
    from ui.publish import space_contents

    _publish(space_contents(gallery, model), repository, dry_run, private, as_json)


@app.command()
def model(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Checkpoint written by `pairscope train`.")
    ],
    repository: Repository,
    dry_run: DryRun = False,
    private: Private = False,
    as_json: AsJson = False,
) -> None:
    """Publish a model, which is then named hf-hub:ORG/NAME."""
    from ui.publish import model_contents

    _publish(model_contents(folder), repository, dry_run, private, as_json)


@app.command()
def gallery(
    folder: Annotated[Path, typer.Argument(metavar="GALLERY", help="Folder made by `pairscope build`.")],
    repository: Repository,
    dry_run: DryRun = False,
    private: Private = False,
    as_json: AsJson = False,
) -> None:
    """Publish a gallery, which is then named hub-gallery:ORG/NAME."""
    from ui.publish import gallery_contents

    _publish(gallery_contents(folder), repository, dry_run, private, as_json)


def _publish(contents: "Contents", repository: str, dry_run: bool, private: bool, as_json: bool) -> None:
    from ui.publish import publish

    sizes = contents.sizes()
    total = sum(sizes.values())
    for note in contents.notes:
        print_warning(note)
    address = None if dry_run else publish(contents, repository, private=private)
    if as_json:
        print_json(
            {
                "repository": repository, "kind": contents.kind, "address": address, "files": sizes,
                "bytes": total, "variables": contents.variables,
            }
        )  # fmt: skip
        return
    if dry_run:
        rows = [(name, f"{size:,}") for name, size in sizes.items()]
        print_table(f"{contents.kind} {repository}", ("file", "bytes"), [*rows, ("all", f"{total:,}")])
        for name, value in contents.variables.items():
            print_line(f"{name}={value}")
        print_line(f"{len(sizes):,} files would be sent. Nothing was sent.")
    else:
        print_line(f"{len(sizes):,} files, {total:,} bytes: {address}")
