"""Measure alignment, uniformity, modality gap and rSum of galleries, with intervals.

for NAME in infonce infonce-continued infonce-continued-2 crcgs coder ascl cusa; do
    pairscope build picturebook:test --model starter:$NAME --out $NAME
done
python benchmarks/starter_geometry.py infonce infonce-continued infonce-continued-2 crcgs coder ascl cusa
"""

from pathlib import Path
from typing import Annotated

import typer
from provenance import build_command
from reporting import ResultsOption, report
from results import Column, Measurement, Row, Table

from analysis.gallery_analysis import GalleryAnalysis
from itr_core import Gallery

COLUMNS = {
    "alignment": Column(title="alignment", format=".3f"),
    "uniformity_joint": Column(title="uniformity, images and captions", format=".3f"),
    "uniformity_captions": Column(title="uniformity, captions", format=".3f"),
    "modality_gap": Column(title="modality gap", format=".3f"),
    "rsum": Column(title="rSum"),
}


def main(
    galleries: Annotated[list[Path], typer.Argument(help="Folders made by `pairscope build`.")],
    results: ResultsOption = None,
) -> None:
    """Measure alignment, uniformity, modality gap and rSum of galleries, with intervals."""
    rows = []
    for folder in galleries:
        analysis = GalleryAnalysis(Gallery.open(folder))
        cells = {}
        for figures in (analysis.geometry(), analysis.metrics()):
            for name, value, low, high in figures[["value", "low", "high"]].itertuples():
                if name in COLUMNS:
                    cells[str(name)] = Measurement(value=value, low=low, high=high)
        rows.append(Row(title=folder.resolve().name, cells={**cells}))
    table = Table(title="gallery", columns=COLUMNS, rows=rows)
    report("starter_geometry", {"geometry": table}, results, first=[*map(build_command, galleries)])


if __name__ == "__main__":
    typer.run(main)
