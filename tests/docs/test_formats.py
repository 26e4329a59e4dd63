"""The examples of formats: each file of the page is written, and each of its commands reads it.

The README's table names the same sources, so that its examples are tested, too.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile, make_archive

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import itr_core.pairs.decoding  # noqa: F401  # lets Pillow write HEIC
from ui.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILE = re.compile(r'^```\w+ title="(?P<name>[^"]+)"\n(?P<text>.*?)^```', re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.removeprefix("pairscope ")
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
IMAGES = (
    "red.jpg",
    "green.jpg",
    "captioned/red.jpg",
    "captioned/green.jpg",
    "photos/red.jpg",
    "photos/green.jpg",
    "photos/scan.png",
    "sidecars/red.jpg",
    "sidecars/green.jpg",
    "classes/train/warm/red.jpg",
    "classes/train/cold/green.jpg",
    "phone/red.heic",
    "phone/green.avif",
    "phone/red.jfif",
)
FORMATS = {".heic": "HEIF", ".jfif": "JPEG"}
WITHOUT_CAPTIONS = ("folder:photos", "parquet:photos.parquet", "folder:classes", "folder:phone", "photos.")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of the page, and the images and tables that they need."""
    folder = tmp_path_factory.mktemp("examples")
    for name in IMAGES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        colour = "white" if "scan" in name else Path(name).stem
        Image.new("RGB", (16, 16), colour).save(folder / name, FORMATS.get(Path(name).suffix))
    for match in FILE.finditer(PAGE):
        (folder / match["name"]).write_text(match["text"], encoding="utf-8")
    make_archive(str(folder / "photos"), "zip", folder / "photos")
    make_archive(str(folder / "photos"), "gztar", folder / "photos")
    sample = tmp_path_factory.mktemp("sample")
    copyfile(folder / "red.jpg", sample / "000000000.jpg")
    copyfile(folder / "sidecars" / "red.txt", sample / "000000000.txt")
    for shard in ("00000", "shards_of_tar/00000", "shards_of_tar/00001", "hub_shards/00000"):
        (folder / shard).parent.mkdir(exist_ok=True)
        make_archive(str(folder / shard), "tar", sample)
    pictures = [(folder / name).read_bytes() for name in IMAGES[:2]]
    table = pa.table({"image": pictures, "caption": ["a red ball", "a green ball"]})
    for name in ("pairs.parquet", "shards/0.parquet", "hub_set/train.parquet", "hub_set/test.parquet"):
        (folder / name).parent.mkdir(exist_ok=True)
        pq.write_table(table, folder / name)
    pq.write_table(table.select(["image"]), folder / "photos.parquet")
    return folder


def summary(command: str) -> dict[str, int]:
    result = CliRunner().invoke(app, [*shlex.split(command), "--json"])
    assert result.exit_code == 0, result.output
    shown: dict[str, int] = json.loads(result.stdout)
    return shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_reads_its_example(
    command: str, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(examples)
    shown = summary(command)
    assert shown["images"] >= 1
    assert not shown["skipped"]
    if not any(source in command for source in WITHOUT_CAPTIONS):
        assert shown["captions"] >= 1
        assert shown["images_without_caption"] == 0


def sources_of_readme() -> Iterator[str]:
    table = README.split("| you have | source |\n|---|---|\n")[1].split("\n\n")[0]
    for row in table.splitlines():
        yield from re.findall(r"`([^`]+)`", row.split("|")[2])


def test_every_source_of_the_readme_is_an_example() -> None:
    known = {word for command in COMMANDS for word in shlex.split(command)}
    assert set(sources_of_readme()) <= known
    assert len(set(sources_of_readme())) >= 12
