"""`pairscope analyze`."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from itr_core.system.garbage import without_search
from ui.cli.options import Thumbnails, parse_thumbnails
from ui.cli.output import print_json, print_line, print_table, print_warning, progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from analysis.gallery_analysis import GalleryAnalysis


def analyze(
    galleries: Annotated[
        list[Path], typer.Argument(metavar="GALLERY", help="Folders made by `pairscope build`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a self-contained HTML report."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="DIR", help="Write every table as a CSV file.")] = None,
    thumbnails: Thumbnails = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every table as JSON.")] = False,
) -> None:
    """Measure galleries side by side: recall, geometry, query length and causes of misses, with intervals."""
    with without_search():
        from analysis.gallery_analysis import GalleryAnalysis
        from analysis.tables import named, tables
        from itr_core.gallery import Gallery
        from itr_core.system.files import whole_file

    moved = parse_thumbnails(thumbnails or (), [str(folder) for folder in galleries])
    opened = [Gallery.open(folder, thumbnails_at=moved.get(str(folder))) for folder in galleries]
    analyses = named([GalleryAnalysis(gallery) for gallery in opened])
    results = tables(analyses)
    if out is not None:
        from analysis.report import write_report

        with progress_bar("Computing maps") as progress:
            write_report(analyses, results, out, progress=progress)
    if csv is not None:
        for subject, table in results.items():
            with whole_file(csv / f"{subject}.csv") as part:
                table.to_csv(part, index=False)
    if as_json:
        print_json(
            {subject: json.loads(table.to_json(orient="records")) for subject, table in results.items()}
        )
        return
    for subject in ("metrics", "geometry"):
        _print_subject(subject, results[subject], analyses)
    for name, one in analyses.items():
        if one.unpaired:
            print_warning(f"{name}: {one.unpaired}")
    for written in filter(None, (out, csv)):
        print_line(written)


def _cell(value: float, low: float, high: float) -> str:
    """Return a value with its interval, which a single image does not have."""
    return f"{value:.2f}" if math.isnan(low) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _print_subject(subject: str, table: "pd.DataFrame", analyses: "Mapping[str, GalleryAnalysis]") -> None:
    """Print a row for every metric and a column for every gallery that has it."""
    from analysis.geometry.catalogue import GEOMETRY, missing
    from itr_core.metrics.catalogue import title_of

    cells: dict[str, dict[str, str]] = {}
    for row in table.to_dict("records"):
        metric, one = row["metric"], analyses[row["gallery"]]
        need = missing(metric, len(one.images), len(one.captions))
        of_metric = cells.setdefault(GEOMETRY[metric].title if metric in GEOMETRY else title_of(metric), {})
        of_metric[row["gallery"]] = need or _cell(row["value"], row["low"], row["high"])
    if cells:
        names = list(next(iter(cells.values())))
        rows = [(title, *of_metric.values()) for title, of_metric in cells.items()]
        print_table(subject.capitalize(), ("", *names), rows)
