"""`pairscope analyze`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ui.cli.output import print_json, print_table, progress_bar


def analyze(
    galleries: Annotated[
        list[Path], typer.Argument(metavar="GALLERY", help="Folders made by `pairscope build`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a self-contained HTML report."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="DIR", help="Write every table as a CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every table as JSON.")] = False,
) -> None:
    """Measure galleries side by side: recall, geometry, query length and causes of misses, with intervals."""
    from analysis.gallery_analysis import GalleryAnalysis
    from analysis.geometry.catalogue import GEOMETRY
    from analysis.tables import named, tables
    from itr_core.gallery import Gallery
    from itr_core.metrics.catalogue import title_of
    from itr_core.system.files import whole_file

    analyses = named([GalleryAnalysis(Gallery.open(folder)) for folder in galleries])
    results = tables(analyses)
    if out is not None:
        from analysis.report import write_report

        with progress_bar("Computing maps") as progress:
            write_report(analyses, results, out, progress=progress)
    if csv is not None:
        csv.mkdir(parents=True, exist_ok=True)
        for subject, table in results.items():
            with whole_file(csv / f"{subject}.csv") as part:
                table.to_csv(part, index=False)
    if as_json:
        print_json(
            {subject: json.loads(table.to_json(orient="records")) for subject, table in results.items()}
        )
        return
    titles = {name: metric.title for name, metric in GEOMETRY.items()}
    for subject in ("metrics", "geometry"):
        cells: dict[str, list[str]] = {}
        for row in results[subject].to_dict("records"):
            cell = f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
            cells.setdefault(titles.get(row["metric"]) or title_of(row["metric"]), []).append(cell)
        print_table(subject.capitalize(), ("", *analyses), [(name, *row) for name, row in cells.items()])
    for written in filter(None, (out, csv)):
        typer.echo(str(written))
