"""The options of sources on the command line, and paths with `~`."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from itr_core.gallery import Gallery
from ui.cli import app


def pairscope(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with photos, one of them a link to a file outside of their folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "Photos [2019]").mkdir()
    for name, colour in (("Photos [2019]/a.png", "red"), ("Photos [2019]/b.jpg", "green"), ("c.png", "blue")):
        Image.new("RGB", (60, 50), colour).save(tmp_path / name)
    (tmp_path / "Photos [2019]" / "c.png").symlink_to(tmp_path / "c.png")
    return tmp_path


def shown(*arguments: object) -> list[str]:
    result = pairscope("data", "show", *arguments, "--json")
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)
    return [str(counts["images"]), *(each["reason"].split(";")[0] for each in counts["skipped"])]


@pytest.mark.parametrize("spec", ["folder:~/Photos [2019]", "~/Photos [2019]", "folder:{home}/Photos [2019]"])
def test_home_is_expanded_and_brackets_are_literal(spec: str, home: Path) -> None:
    spec = spec.format(home=home)
    assert shown(spec) == ["2", "a symbolic link out of the folder"]
    assert shown(spec, "--follow-links") == ["3"]
    assert shown(spec, "--exclude", "*.png") == ["1"]
    assert shown(spec, "--exclude", "a.*", "--exclude", "c*") == ["1"]


def test_the_largest_image_is_an_option(home: Path) -> None:
    result = pairscope("data", "show", home / "Photos [2019]", "--max-megapixels", 0.001)
    assert result.exit_code == 2
    assert "60 x 50 pixels; the limit is 0.001 megapixels (see --max-megapixels)" in result.stderr


def test_the_home_folder_in_options(home: Path) -> None:
    (home / "table.csv").write_text("file_name,caption\na.png,red\n")
    assert shown(home / "table.csv", "--image-root=~/Photos [2019]") == ["1"]
    result = pairscope("data", "export", "~/Photos [2019]", "--to", "folder", "--out=~/exported")
    assert result.exit_code == 0, result.output
    assert (home / "exported" / "a.png").is_file()


def test_a_build_records_the_options_of_its_source(home: Path) -> None:
    build = (
        "build",
        "folder:~/Photos [2019]",
        "--out=~/gallery",
        "--no-map",
        "--model",
        "picturebook-vit/none",
    )
    result = pairscope(*build, "--exclude", "a.*", "--follow-links", "--max-megapixels", 5)
    assert result.exit_code == 0, result.output
    gallery = Gallery.open("~/gallery")
    assert gallery.items["image_id"].tolist() == ["b.jpg", "c.png"]
    command = gallery.manifest.rebuild_command(home / "gallery")
    assert "--exclude 'a.*' --follow-links --max-megapixels 5" in command
    found = pairscope("search", "~/gallery", "~/c.png", "--model", "picturebook-vit/none", "--json")
    assert json.loads(found.stdout)["hits"][0]["item_id"] == "c.png"
    refused = pairscope("search", home / "gallery", home / "c.png", "--max-megapixels", 0.001)
    assert "the limit is 0.001 megapixels" in refused.stderr
