"""Folders of images, the metadata that may lie in them, and the bad files."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from itr_core.errors import ImageError, SourceError
from itr_core.pairs import Skipped, load_pairs
from tests.support import Paint


def test_images_without_captions(paint: Paint, tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "deep/er/a.jpg", "C.JPG", ".hidden/d.jpg", "._a.jpg"):
        paint(name)
    pairs = load_pairs(f"folder:{tmp_path}")
    assert pairs.image_ids == ["C.JPG", "a.jpg", "b.png", "deep/er/a.jpg"]
    assert pairs.captions == [[]] * 4
    assert pairs.uncaptioned == pairs.image_ids
    assert pairs.labels is None
    assert pairs[3].image.size == (8, 6)
    texts, image_of_caption = pairs.flat_captions()
    assert texts == []
    assert image_of_caption.dtype == "int64"
    assert load_pairs(str(tmp_path)).fingerprint == pairs.fingerprint


CAPTION_FILES = {
    "metadata.jsonl": '{"file_name": "a.jpg", "captions": ["one, two", "three"]}\n\n'
    '{"file_name": "b/c.jpg", "captions": "four"}\n',
    "metadata.csv": 'file_name,text\na.jpg,"one, two"\nb/c.jpg,four\na.jpg,three\n',
    "captions.txt tabs": "a.jpg#0\tone, two\na.jpg#1\tthree\nb/c.jpg#0\tfour\n",
    "captions.txt commas": 'image,caption\na.jpg,"one, two"\na.jpg,three\nb/c.jpg,four\n',
    "captions.txt bare commas": "a.jpg,one, two\na.jpg,three\nb/c.jpg,four\n",
    "captions.txt bars": "image_name| comment_number| comment\n"
    "a.jpg| 0| one, two\na.jpg| 1   three\nb/c.jpg|0|four\n",
    "captions.txt bare names": "\ufeffa.jpg|0|one, two\na.jpg|1|three\nc.jpg|0|four\n",
}


@pytest.mark.parametrize("kind", CAPTION_FILES)
def test_every_form_of_captions_says_the_same(kind: str, paint: Paint, tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.jpg", "d.jpg"):
        paint(name)
    (tmp_path / kind.split(maxsplit=1)[0]).write_text(CAPTION_FILES[kind], encoding="utf-8")
    pairs = load_pairs(f"folder:{tmp_path}")
    assert dict(zip(pairs.image_ids, pairs.captions, strict=True)) == {
        "a.jpg": ["one, two", "three"],
        "b/c.jpg": ["four"],
        "d.jpg": [],
    }
    assert pairs.uncaptioned == ["d.jpg"]
    assert pairs.skipped == []


def test_metadata_of_a_subfolder_names_its_own_images(paint: Paint, tmp_path: Path) -> None:
    for split, caption in (("train", "learnt"), ("test", "asked")):
        paint(f"{split}/a.jpg")
        (tmp_path / split / "metadata.jsonl").write_text(json.dumps({"file_name": "a.jpg", "text": caption}))
    assert load_pairs(f"folder:{tmp_path}").captions == [["asked"], ["learnt"]]


def test_one_file_of_metadata_counts_in_a_folder(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "mine"}')
    (tmp_path / "captions.txt").write_text("a.jpg,older\n")
    assert load_pairs(f"folder:{tmp_path}").captions == [["mine"]]


def test_chosen_columns_and_labels(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    paint("b.jpg")
    line = {"picture": "a.jpg", "caption": "no", "says": [{"raw": "yes"}, "also", ""], "tags": ["x", "y"]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line))
    columns = {"image": "picture", "captions": "says", "labels": "tags"}
    pairs = load_pairs(f"folder:{tmp_path}", columns=columns)
    assert pairs.captions == [["yes", "also"], []]
    assert pairs.labels == [["x", "y"], []]
    assert pairs[0].labels == ["x", "y"]
    with pytest.raises(SourceError, match=r"no column 'say'. Did you mean 'says'"):
        load_pairs(f"folder:{tmp_path}", columns={**columns, "captions": "say"})
    with pytest.raises(SourceError, match=r"unknown role 'caption' in columns. Did you mean 'captions'"):
        load_pairs(f"folder:{tmp_path}", columns={"caption": "says"})


def test_bad_files_are_left_out_by_name_and_reason(paint: Paint, tmp_path: Path) -> None:
    whole = paint("good.jpg").read_bytes()
    (tmp_path / "text.jpg").write_text("these are words")
    (tmp_path / "empty.png").touch()
    (tmp_path / "stub.jpg").write_bytes(whole[:12])
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "tiny.png")
    (tmp_path / "captions.txt").write_text("good.jpg,a\ngone.jpg,b\ngone.jpg,c\ntext.jpg,d\n")
    pairs = load_pairs(f"folder:{tmp_path}")
    assert pairs.image_ids == ["good.jpg", "tiny.png"]
    assert pairs.captions == [["a"], []]
    assert dict(pairs.skipped) == {
        "gone.jpg": "named in captions.txt, but missing",
        "empty.png": "empty file (0 bytes)",
        "huge.png": pairs.skipped[2].reason,
        "stub.jpg": "not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image",
        "text.jpg": "not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image",
    }
    assert pairs.skipped[2].name == "huge.png"
    assert "50 megapixels" in pairs.skipped[2].reason


def test_a_file_found_truncated_on_decoding_is_named(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.jpg")
    os.truncate(tmp_path / "cut.jpg", (tmp_path / "cut.jpg").stat().st_size // 2 + 300)
    pairs = load_pairs(f"folder:{tmp_path}")
    assert pairs.skipped == []
    pairs.image(0)
    with pytest.raises(ImageError, match=r"^cut\.jpg: truncated or damaged"):
        pairs.image(1)


def test_a_file_that_vanishes_is_named(paint: Paint, tmp_path: Path) -> None:
    path = paint("a.jpg")
    pairs = load_pairs(f"folder:{tmp_path}")
    path.unlink()
    for use in (lambda: pairs.image(0), lambda: pairs.fingerprint):
        with pytest.raises(ImageError, match=r"^a\.jpg: cannot be read \(No such file"):
            use()


def test_limit_counts_usable_images(paint: Paint, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("words")
    for name in ("b.jpg", "c.jpg", "d.jpg"):
        paint(name)
    pairs = load_pairs(f"folder:{tmp_path}", limit=2)
    assert pairs.image_ids == ["b.jpg", "c.jpg"]
    assert pairs.skipped == [Skipped("a.jpg", "not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image")]


def test_nothing_to_use_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        load_pairs(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(SourceError, match=r"there are no images\. It is empty"):
        load_pairs(str(tmp_path))
    (tmp_path / "a.jpg").write_text("words")
    with pytest.raises(SourceError, match=r"none of its 1 images can be used \(a\.jpg: not a JPEG"):
        load_pairs(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.jsonl", '{"file_name\n', r"metadata\.jsonl, line 1: not a JSON object"),
        (
            "metadata.jsonl",
            '{"file_name": "a.jpg"}\n',
            r"no column of captions among file_name.*--columns captions=",
        ),
        ("metadata.csv", "name,caption\na.jpg,b\n", "no column of file names .* among name, caption"),
    ],
)
def test_unreadable_metadata_is_named(
    name: str, text: str, message: str, paint: Paint, tmp_path: Path
) -> None:
    paint("a.jpg")
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        load_pairs(f"folder:{tmp_path}")


def test_a_caption_file_of_other_images_is_refused(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    for text, message in (("x.jpg,one\ny.jpg,two\n", r"none of the 2 images that it names is found \(x\.jpg"),
                          ("", r"captions\.txt: empty file")):  # fmt: skip
        (tmp_path / "captions.txt").write_text(text)
        with pytest.raises(SourceError, match=message):
            load_pairs(f"folder:{tmp_path}")


def test_a_second_caption_file_is_named_once(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    (tmp_path / "metadata.csv").write_text("file_name,caption\na.jpg,one\n")
    (tmp_path / "captions.json").write_text('{"a.jpg": "two"}')
    pairs = load_pairs(f"folder:{tmp_path}")
    assert pairs.captions == [["one"]]
    assert pairs.notes == ["captions.json is not read, because metadata.csv has the captions of this folder."]


def test_a_table_that_may_have_the_captions_is_named(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    (tmp_path / "descriptions.csv").write_text("file_name,caption\na.jpg,one\n")
    notes = load_pairs(f"folder:{tmp_path}").notes
    source = f"{tmp_path}/descriptions.csv"
    assert f"No captions were found. If descriptions.csv has them, read the source {source} instead." in notes
    assert load_pairs(source).captions == [["one"]]


def test_labels_of_all_rows_of_an_image_are_kept(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    (tmp_path / "metadata.csv").write_text(
        "file_name,caption,label\na.jpg,one,dog\na.jpg,two,sea\na.jpg,x,dog\n"
    )
    assert load_pairs(f"folder:{tmp_path}").labels == [["dog", "sea"]]


def test_columns_without_a_caption_file_are_refused(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    with pytest.raises(SourceError, match=r"--columns names captions, but there is no caption file"):
        load_pairs(f"folder:{tmp_path}", columns={"captions": "text"})
    assert len(load_pairs(f"folder:{tmp_path}", columns={"captions": []})) == 1
