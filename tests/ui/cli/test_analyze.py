"""`pairscope analyze`, and the results that `pairscope build` computes for it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs_version
from typer.testing import CliRunner, Result

from itr_core.gallery import Gallery
from ui.cli import app

ROOT = Path(__file__).parents[3]
MODEL = "picturebook-vit/none"
SOURCE = "picturebook:test@24"


def pairscope(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two galleries of the same pairs and model, and one of other pairs."""
    folder = tmp_path_factory.mktemp("analyze")
    for name, source in (("first", SOURCE), ("other", "picturebook:val@24")):
        built = pairscope("build", source, "--model", MODEL, "--no-map", "--out", folder / name)
        assert built.exit_code == 0, built.output
    shutil.copytree(folder / "first", folder / "second")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> str:
    done = pairscope(
        "analyze",
        folder / "first",
        folder / "second",
        "--out",
        folder / "report.html",
        "--csv",
        folder / "csv",
    )
    assert done.exit_code == 0, done.output
    assert "T2I R@1" in done.stdout
    assert "Alignment" in done.stdout
    assert str(folder / "report.html") in done.stdout
    return (folder / "report.html").read_text(encoding="utf-8")


def test_build_computes_the_results_that_pages_show(folder: Path) -> None:
    results = {path.name.partition(".")[0] for path in (folder / "first" / "analysis").iterdir()}
    assert {"metrics", "geometry", "histograms", "by_length", "misses", "pca-joint"} <= results
    assert not [name for name in results if name.startswith("umap") and "joint" not in name]
    Gallery.open(folder / "first")


def test_the_report_is_self_contained_and_small(report: str) -> None:
    page = re.sub(r"<script>/\*.*?</script>", "", report, flags=re.S)  # plotly.js itself
    assert len(page) < len(report) - 1_000_000
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "default-src 'none'" in page
    assert len(report.encode()) < 5_000_000


def test_the_report_has_every_subject(report: str) -> None:
    for text in (
        "first",
        "second",
        SOURCE,
        MODEL,
        "T2I R@1",
        "Alignment",
        "second − first",
        "false negative",
    ):
        assert text in report
    drawings = json.loads(re.search(r'id="drawings">(.*?)</script>', report, re.S)[1])  # type: ignore[index]
    assert {"plane", "similarities", "causes", "length-0", "map-first", "map-second"} == drawings.keys()
    assert all("template" not in drawing["layout"] for drawing in drawings.values())


def test_a_model_does_not_differ_from_itself(folder: Path, report: str) -> None:
    differences = pd.read_csv(folder / "csv" / "differences.csv")
    assert differences["metric"].tolist()[0] == "t2i_r1"
    assert (differences["difference"] == 0).all()
    assert (differences["p"] == 1).all()


def test_json_and_csv_contain_the_same_tables(folder: Path, report: str) -> None:
    printed = json.loads(pairscope("analyze", folder / "first", folder / "second", "--json").stdout)
    assert printed.keys() == {path.stem for path in (folder / "csv").iterdir()}
    for subject, records in printed.items():
        table = pd.read_csv(folder / "csv" / f"{subject}.csv")
        assert list(table.columns) == list(records[0])
        assert len(table) == len(records)
        for column in table.select_dtypes("number"):
            values = [np.nan if each[column] is None else each[column] for each in records]
            np.testing.assert_allclose(table[column], values, rtol=1e-6)
    misses = pd.DataFrame(printed["misses"])
    captions = [text for texts in Gallery.open(folder / "first").items["captions"] for text in texts]
    t2i = misses[misses["direction"] == "t2i"]
    assert [captions[row] for row in t2i["query"]] == t2i["asked"].tolist()


def test_models_on_different_pairs_are_not_compared(folder: Path, tmp_path: Path) -> None:
    done = pairscope("analyze", folder / "first", folder / "other", "--out", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "their models are not compared" in page
    assert "first − other" not in page


def test_a_hostile_caption_stays_text_in_the_report(folder: Path, tmp_path: Path) -> None:
    from analysis.gallery_analysis import GalleryAnalysis
    from analysis.report import write_report
    from analysis.tables import named, tables

    hostile = "</script><img src=x onerror=alert(1)>"
    shutil.copytree(folder / "first", tmp_path / "hostile")
    gallery = Gallery.open(tmp_path / "hostile")
    gallery.items["captions"] = gallery.items["captions"].map(
        lambda texts: [f"{text} {hostile}" for text in texts]
    )
    analyses = named([GalleryAnalysis(gallery)])
    shutil.rmtree(tmp_path / "hostile" / "analysis")
    write_report(analyses, tables(analyses), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;/script&gt;" in page


def test_a_report_shows_thumbnails_that_were_moved(folder: Path, report: str, tmp_path: Path) -> None:
    gallery = shutil.copytree(folder / "first", tmp_path / "moved")
    shutil.move(gallery / "thumbnails", tmp_path / "elsewhere")
    refused = pairscope("analyze", gallery)
    assert refused.exit_code == 2
    assert "with --thumbnails" in " ".join(refused.stderr.split())
    for wrong in (f"{gallery}", f"moved={tmp_path}", f"{gallery}="):
        refused = pairscope("analyze", gallery, "--thumbnails", wrong)
        assert refused.exit_code == 2
        assert "write GALLERY=PREFIX" in " ".join(refused.stderr.split())
    refused = pairscope("analyze", gallery, "--thumbnails", f"{gallery}={tmp_path}")
    assert refused.exit_code == 2
    assert f"{tmp_path} is not where the thumbnails are" in " ".join(refused.stderr.split())
    moved = f"{gallery}={tmp_path / 'elsewhere'}"
    done = pairscope("analyze", gallery, "--thumbnails", moved, "--out", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    pictures = re.findall(r"data:image/webp;base64,[\w+/=]+", (tmp_path / "report.html").read_text("utf-8"))
    assert pictures
    assert set(pictures) <= set(re.findall(r"data:image/webp;base64,[\w+/=]+", report))


def test_a_folder_that_is_no_gallery_is_refused(tmp_path: Path) -> None:
    refused = pairscope("analyze", tmp_path)
    assert refused.exit_code == 2
    assert "is no gallery" in refused.stderr


def test_the_plotly_js_of_reports_has_the_major_version_of_plotly() -> None:
    head = (ROOT / "assets" / "js" / "plotly-cartesian.min.js").read_text(encoding="utf-8")[:200]
    ours = re.search(r"v(\d+)\.", head)[1]  # type: ignore[index]
    assert ours == get_plotlyjs_version().partition(".")[0]
