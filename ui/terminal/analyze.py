"""`pairscope analyze`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.terminal.out import print_json, print_table, progress_bar

if TYPE_CHECKING:
    import pandas as pd


def analyze(
    galleries: Annotated[
        list[Path], typer.Argument(metavar="GALLERY...", help="Folders made by `pairscope build`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a report that needs no network to be read."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="DIR", help="Write every table as a CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every table as JSON.")] = False,
) -> None:
    """Measure galleries: recall, geometry, query length, causes of errors; side by side, with intervals."""
    from analysis.precompute import Analysis
    from analysis.tables import named, tables
    from itr_core.files import whole_file
    from itr_core.gallery import Gallery

    analyses = named([Analysis(Gallery.open(folder)) for folder in galleries])
    found = tables(analyses)
    if out is not None:
        from analysis.report import write_report

        with progress_bar("Mapping") as progress:
            write_report(analyses, found, out, progress=progress)
    if csv is not None:
        csv.mkdir(parents=True, exist_ok=True)
        for subject, table in found.items():
            with whole_file(csv / f"{subject}.csv") as part:
                table.to_csv(part, index=False)
    if as_json:
        print_json({subject: json.loads(table.to_json(orient="records")) for subject, table in found.items()})
        return
    for subject in ("metrics", "geometry"):
        wide = found[subject].pivot(index="measure", columns="gallery", values=["value", "low", "high"])
        rows = [
            (measure.replace("_", " "), *(_told(row, name) for name in analyses))
            for measure, row in wide.loc[found[subject]["measure"].unique()].iterrows()
        ]
        print_table(subject.capitalize(), ("", *analyses), rows)
    for written in filter(None, (out, csv)):
        typer.echo(str(written))


def _told(row: "pd.Series", name: str) -> str:
    value, low, high = (row[column, name] for column in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
