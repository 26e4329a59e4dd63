"""A shard with two good samples and two that cannot be used."""

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from itr_core.errors import SourceError
from itr_core.pairs import load_pairs


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    files = {
        "000.png": png("red"), "000.txt": b"a red image\nred\n",
        "001.png": png("blue"), "001.txt": b"a blue image\n",
        "002.png": b"not an image", "002.txt": b"damaged",
        "003.txt": b"a caption without an image",
    }  # fmt: skip
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_samples_become_pairs(shard: Path) -> None:
    pairs = load_pairs(f"webdataset:{shard}")
    assert pairs.image_ids == ["000", "001"]
    assert pairs.captions == [["a red image", "red"], ["a blue image"]]
    assert pairs.image(1).getpixel((0, 0)) == (0, 0, 255)
    assert [name for name, _ in pairs.skipped] == ["002", "003"]


def test_limit_takes_the_first(shard: Path) -> None:
    assert load_pairs(f"webdataset:{shard}", limit=1).image_ids == ["000"]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.tar: cannot be read"):
        load_pairs(f"webdataset:{tmp_path / 'missing.tar'}")
