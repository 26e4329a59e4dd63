"""A gallery follows its source: only what has changed is encoded, and the rest stays as it is."""

import json
import os
import shutil
from collections.abc import Mapping
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.gallery.changes import changes
from itr_core.gallery.source_table import FILE
from itr_core.pairs import PairSet, load_pairs
from itr_core.pairs.decoding import open_file

YEAR_2000 = 946_684_800


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("picturebook-vit/none")


def paint(path: Path, colour: tuple[int, int, int], caption: str) -> None:
    Image.new("RGB", (40, 30), colour).save(path)
    path.with_suffix(".txt").write_text(caption)
    os.utime(path, (YEAR_2000, YEAR_2000))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(70):  # more than one shard
        paint(folder / f"{number:02}.png", (number, 200 - number, 90), f"picture {number}")
    return folder


@pytest.fixture
def gallery(photos: Path, encoder: DualEncoder, tmp_path: Path) -> Gallery:
    return Gallery.build(load_pairs(str(photos)), encoder, tmp_path / "gallery")


def change(photos: Path) -> None:
    """Remove 03, paint 10 anew, write another caption for 20, add 05b and 99, rename 40."""
    (photos / "03.png").unlink()
    (photos / "03.txt").unlink()
    paint(photos / "10.png", (250, 250, 0), "picture 10")
    (photos / "20.txt").write_text("a violet square")
    paint(photos / "05b.png", (1, 2, 3), "a dark square")
    paint(photos / "99.png", (250, 2, 3), "a red square")
    for suffix in (".png", ".txt"):
        (photos / "40.png").with_suffix(suffix).rename(photos / f"41b{suffix}")
    os.utime(photos / "10.png", (YEAR_2000 + 9, YEAR_2000 + 9))


def encoded(encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many images and texts are encoded."""
    counts = []
    images, texts = encoder.encode_images, encoder.encode_texts

    def encode_images(batch, **options):  # type: ignore[no-untyped-def]  # overloaded
        batch = list(batch)
        counts.append(len(batch))
        return images(batch, **options)

    def encode_texts(batch, **options):  # type: ignore[no-untyped-def]  # overloaded
        counts.append(len(batch))
        return texts(batch, **options)

    monkeypatch.setattr(encoder, "encode_images", encode_images)
    monkeypatch.setattr(encoder, "encode_texts", encode_texts)
    return counts


def test_changes_are_named(photos: Path, gallery: Gallery) -> None:
    assert changes(gallery, load_pairs(str(photos))) == ([], [], [], 70)
    change(photos)
    found = changes(gallery, load_pairs(str(photos)))
    assert sorted(found.added) == ["05b.png", "41b.png", "99.png"]
    assert sorted(found.changed) == ["10.png", "20.png"]
    assert found.removed == ["03.png", "40.png"]
    assert found.unchanged == 66


def test_an_update_equals_a_new_build(
    photos: Path, gallery: Gallery, encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(photos)
    anew = Gallery.build(load_pairs(str(photos)), encoder, tmp_path / "anew")
    counts = encoded(encoder, monkeypatch)
    updated = Gallery.build(load_pairs(str(photos)), encoder, gallery.path, earlier=gallery)
    assert sum(counts) == 3 + 3  # 05b, 10, 99 and their captions but "picture 10", and "a violet square"

    Gallery.open(updated.path)  # every file is as the manifest says
    columns = ["image_id", "captions", "width", "height"]
    assert updated.items[columns].equals(anew.items[columns])
    np.testing.assert_allclose(updated.image_embeddings, anew.image_embeddings, atol=1e-5)
    np.testing.assert_allclose(updated.text_embeddings, anew.text_embeddings, atol=1e-5)
    assert updated.manifest.source_fingerprint == anew.manifest.source_fingerprint
    for image_id in updated.items["image_id"]:
        assert updated.thumbnail(image_id).read_bytes() == anew.thumbnail(image_id).read_bytes()


def test_no_name_of_a_thumbnail_is_given_to_another_image(
    photos: Path, gallery: Gallery, encoder: DualEncoder
) -> None:
    before = dict(zip(gallery.items["image_id"], gallery.items["thumbnail"], strict=True))
    change(photos)
    updated = Gallery.build(load_pairs(str(photos)), encoder, gallery.path, earlier=gallery)
    after = dict(zip(updated.items["image_id"], updated.items["thumbnail"], strict=True))
    assert {name: after[name] for name in ("00.png", "69.png")} == {
        name: before[name] for name in ("00.png", "69.png")
    }
    assert not {after[name] for name in ("05b.png", "10.png", "99.png")} & set(before.values())


def test_only_files_with_another_size_or_time_are_read(
    photos: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(photos)
    read: list[str] = []

    def record(value: Mapping[str, Any]) -> BytesIO | BufferedReader:
        read.append(value["path"])
        return open_file(value)

    monkeypatch.setattr("itr_core.pairs.source_files.open_file", record)
    changes(gallery, load_pairs(str(photos)))
    assert sorted(Path(path).name for path in read) == ["05b.png", "10.png", "41b.png", "99.png"]


def test_a_file_that_was_just_written_is_read_again(
    photos: Path, encoder: DualEncoder, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 30), "red").save(photos / "00.png")
    now = (photos / "00.png").stat()
    gallery = Gallery.build(load_pairs(str(photos)), encoder, tmp_path / "gallery")
    (photos / "00.png").write_bytes((photos / "00.png").read_bytes()[:-1] + b"\0")  # same size
    os.utime(photos / "00.png", ns=(now.st_atime_ns, now.st_mtime_ns))  # within the clock's resolution
    assert changes(gallery, load_pairs(str(photos))).changed == ["00.png"]


def test_without_its_table_everything_is_encoded(
    photos: Path, gallery: Gallery, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gallery.path / FILE).write_bytes(b"damaged")
    counts = encoded(encoder, monkeypatch)
    updated = Gallery.build(load_pairs(str(photos)), encoder, gallery.path, earlier=gallery)
    assert sum(counts) == 70  # the captions are known by their text
    np.testing.assert_allclose(updated.image_embeddings, gallery.image_embeddings, atol=1e-5)


def test_tokens_are_kept(photos: Path, encoder: DualEncoder, tmp_path: Path) -> None:
    pairs = load_pairs(str(photos))
    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery", tokens=True)
    change(photos)
    pairs = load_pairs(str(photos))
    updated = Gallery.build(pairs, encoder, gallery.path, tokens=True, earlier=gallery)
    _, tokens = encoder.encode_images((pair.image for pair in pairs), tokens=True)
    assert updated.image_tokens is not None
    np.testing.assert_allclose(updated.image_tokens, tokens, atol=2e-3)


def test_another_model_is_refused_with_the_command(photos: Path, gallery: Gallery) -> None:
    other = load_encoder("starter:infonce", device="cpu")
    with pytest.raises(GalleryError, match=r"other weights than those of starter:infonce\. Rebuild it: "):
        Gallery.build(load_pairs(str(photos)), other, gallery.path, earlier=gallery)


def test_tokens_cannot_be_added(photos: Path, gallery: Gallery, encoder: DualEncoder) -> None:
    with pytest.raises(GalleryError, match="has no patch tokens"):
        Gallery.build(load_pairs(str(photos)), encoder, gallery.path, tokens=True, earlier=gallery)


def test_unusable_images_are_not_new_each_time(photos: Path, encoder: DualEncoder, tmp_path: Path) -> None:
    (photos / "bad.png").write_bytes((photos / "00.png").read_bytes()[:60])
    gallery = Gallery.build(load_pairs(str(photos)), encoder, tmp_path / "gallery")
    assert [each.name for each in gallery.manifest.skipped] == ["bad.png"]
    assert changes(gallery, load_pairs(str(photos))) == ([], [], [], 71)


def test_images_of_an_archive_are_kept_when_it_grows(
    photos: Path, encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def packed() -> PairSet:
        return load_pairs(shutil.make_archive(str(tmp_path / "photos"), "zip", photos))

    gallery = Gallery.build(packed(), encoder, tmp_path / "gallery")
    paint(photos / "99.png", (250, 2, 3), "a red square")
    counts = encoded(encoder, monkeypatch)
    updated = Gallery.build(packed(), encoder, gallery.path, earlier=gallery)
    assert (sum(counts), len(updated)) == (2, 71)


def test_labels_and_captions_are_those_of_the_source(encoder: DualEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (40, 30), (number * 80, 0, 0)).save(folder / f"{number}.png")

    def described(label: str) -> PairSet:
        lines = [
            {"file_name": f"{number}.png", "captions": [f"number {number}"], "labels": [label]}
            for number in range(3)
        ]
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
        return load_pairs(f"folder:{folder}")

    gallery = Gallery.build(described("old"), encoder, tmp_path / "gallery")
    assert changes(gallery, described("old")).unchanged == 3
    assert len(changes(gallery, described("new")).changed) == 3
    updated = Gallery.build(described("new"), encoder, gallery.path, earlier=gallery)
    assert [list(each) for each in updated.items["labels"]] == [["new"]] * 3
