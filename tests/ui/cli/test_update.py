"""`pairscope update` on a folder of photos."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from itr_core.gallery import Gallery
from ui.cli import app

ROOT = Path(__file__).parents[3]


def pairscope(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (40, 30), (number * 40, 90, 90)).save(folder / f"{number}.png")
    return folder


def test_an_update_follows_the_folder_and_keeps_the_options_of_the_build(
    photos: Path, tmp_path: Path
) -> None:
    gallery = tmp_path / "gallery"
    (photos / "screenshot.png").write_bytes((photos / "0.png").read_bytes())
    built = pairscope("build", photos, "--out", gallery, "--exclude", "screen*", "--no-map")
    assert built.exit_code == 0, built.stderr
    (photos / "2.png").unlink()
    Image.new("RGB", (40, 30), "white").save(photos / "9.png")
    updated = pairscope("update", gallery, "--json")
    assert updated.exit_code == 0, updated.stderr
    counts = json.loads(updated.stdout)
    assert {name: counts[name] for name in ("added", "changed", "removed", "unchanged")} == {
        "added": 1,
        "changed": 0,
        "removed": 1,
        "unchanged": 5,
    }
    assert Gallery.open(gallery).items["image_id"].tolist() == [f"{n}.png" for n in (0, 1, 3, 4, 5, 9)]


def test_an_update_without_changes_writes_nothing(photos: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    pairscope("build", photos, "--out", gallery, "--no-map")
    manifest = (gallery / "manifest.json").stat()
    updated = pairscope("update", gallery)
    assert updated.exit_code == 0
    assert "unchanged" in updated.stdout
    assert (gallery / "manifest.json").stat() == manifest


def test_an_update_without_changes_loads_no_model(photos: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    pairscope("build", photos, "--out", gallery, "--no-map")
    program = (
        "import atexit, sys, ui.cli; atexit.register(lambda: print('torch' in sys.modules)); ui.cli.main()"
    )
    updated = subprocess.run(
        [sys.executable, "-c", program, "update", str(gallery), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    counts, _, has_torch = updated.stdout.strip().rpartition("\n")
    assert json.loads(counts)["unchanged"] == 6
    assert has_torch == "False"


def test_a_folder_that_was_moved_is_named(photos: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    pairscope("build", photos, "--out", gallery, "--no-map")
    moved = shutil.move(photos, tmp_path / "moved")
    lost = pairscope("update", gallery)
    assert lost.exit_code == 2
    assert "photos" in lost.stderr
    assert f"pairscope update {gallery} SOURCE" in " ".join(lost.stderr.split())
    found = pairscope("update", gallery, moved, "--json")
    assert json.loads(found.stdout)["unchanged"] == 6
    assert pairscope("update", gallery).exit_code == 0  # it knows the new folder


def test_a_wrong_source_and_moved_thumbnails_are_named(photos: Path, tmp_path: Path) -> None:
    gallery, missing = tmp_path / "gallery", tmp_path / "missing"
    pairscope("build", photos, "--out", gallery, "--no-map")
    refused = pairscope("update", gallery, missing)
    assert refused.exit_code == 2
    assert "no such file or folder" in refused.stderr
    assert "elsewhere" not in refused.stderr  # a source was named
    shutil.move(gallery / "thumbnails", tmp_path / "moved")
    refused = pairscope("update", gallery)
    assert refused.exit_code == 2
    assert "copy them back for an update" in " ".join(refused.stderr.split())
