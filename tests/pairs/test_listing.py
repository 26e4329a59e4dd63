"""Which files of a folder are images, which are passed over, and which are named as unread."""

import os
from pathlib import Path

import pytest
from PIL import Image

from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from tests.support import Paint


def folder(path: Path, **options: object) -> PairSet:
    return load_pairs(f"folder:{path}", **options)  # type: ignore[arg-type]  # options by name


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", ".thumbnails/a.png", "#recycle/a.jpg", "$RECYCLE.BIN/a.jpg",
        ".AppleDouble/a.jpg", "__MACOSX/a.jpg", "._a.jpg", "sub/.@__thumb/a.jpg", "Lost+Found/a.jpg",
    ],
)  # fmt: skip
def test_files_of_systems_and_nas_are_passed_over_and_named(name: str, paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    paint(name)
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    pairs = folder(tmp_path)
    assert pairs.image_ids == ["a.jpg"]
    assert pairs.skipped == []
    passed = next(
        part for part in (*reversed(Path(name).parents), Path(name)) if part.name and part != Path("sub")
    )
    (note,) = pairs.notes
    assert "passed over: 2" in note
    assert str(passed) in note
    assert "Thumbs.db" in note


def gallery(path: Path) -> None:
    (path / "thumbnails" / "000").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(path / "thumbnails" / "000" / "000000.webp")
    (path / "manifest.json").write_text("{}")
    (path / "items.parquet").write_bytes(b"")


def test_galleries_in_a_photo_folder_are_passed_over(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    gallery(tmp_path / "search" / "gallery")
    for spec in (f"folder:{tmp_path}", str(tmp_path)):
        pairs = load_pairs(spec)
        assert pairs.source == f"folder:{tmp_path}"
        assert pairs.image_ids == ["a.jpg"]
        assert pairs.notes == [
            "Galleries, whose thumbnails are not photos, passed over: 1 (search/gallery/)."
        ]
    with pytest.raises(SourceError, match=r"is a gallery\. Search it with `pairscope search`"):
        folder(tmp_path / "search" / "gallery")


def test_files_that_people_expect_are_named_when_they_are_not_read(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    for name in ("IMG_1.CR2", "b/clip.MOV", "c.psd", "d.svg", "photos.rar", "notes.docx", "readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"II*\0 some content")
    pairs = folder(tmp_path)
    assert pairs.image_ids == ["a.jpg"]
    assert {name: reason.split(";")[0] for name, reason in pairs.skipped} == {
        "IMG_1.CR2": "a RAW photo, which is not read",
        "b/clip.MOV": "a video",
        "c.psd": "an image format that is not read",
        "d.svg": "an image format that is not read",
        "photos.rar": "an archive that is not read",
    }
    assert pairs.notes == [
        "Files that are neither images nor captions, passed over: 2 (notes.docx, readme.md)."
    ]


def test_images_are_recognised_by_their_content(paint: Paint, tmp_path: Path) -> None:
    jpeg, png = paint("a.jpg").read_bytes(), paint("b.png").read_bytes()
    for name, content in (
        ("c", jpeg), ("d.jpg_large", jpeg), ("e.JFIF", jpeg), ("f.jpe", jpeg), ("g.pjpeg", png),
        ("h.bin", png),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (16, 16)).save(tmp_path / "i.avif")
    Image.new("RGB", (16, 16)).save(tmp_path / "j.HEIC", "HEIF")
    Image.new("RGB", (16, 16)).save(tmp_path / "k", "HEIF")
    pairs = folder(tmp_path)
    assert [Path(name).stem for name in pairs.image_ids] == list("abcdefghijk")
    assert pairs.skipped == []
    assert all(pair.image.mode == "RGB" for pair in pairs)


def test_a_folder_without_images_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there are no images\. It is empty"):
        folder(tmp_path)
    (tmp_path / "IMG_1.NEF").write_bytes(b"II*\0")
    with pytest.raises(SourceError, match=r"there are no images. IMG_1\.NEF: a RAW photo"):
        folder(tmp_path)


def test_excluded_files_and_folders(paint: Paint, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "raw/c.jpg", "raw/deep/d.jpg", "e/raw.jpg"):
        paint(name)
    assert folder(tmp_path, exclude=["*.png"]).image_ids == [
        "a.jpg",
        "e/raw.jpg",
        "raw/c.jpg",
        "raw/deep/d.jpg",
    ]
    assert folder(tmp_path, exclude=["raw/"]).image_ids == ["a.jpg", "b.png", "e/raw.jpg"]
    pairs = folder(tmp_path, exclude=["raw/*", "*.png"])
    assert pairs.image_ids == ["a.jpg", "e/raw.jpg"]
    assert sorted(pairs.notes) == [
        "Left out by --exclude *.png: 1 (b.png).",
        "Left out by --exclude raw/*: 2 (raw/c.jpg, raw/deep).",
    ]
    assert folder(tmp_path, exclude=["**/deep"]).image_ids == ["a.jpg", "b.png", "e/raw.jpg", "raw/c.jpg"]
    assert folder(tmp_path, exclude=["./raw"]).image_ids == ["a.jpg", "b.png", "e/raw.jpg"]
    assert folder(tmp_path, exclude=["*.gif"]).notes == ["--exclude *.gif matches no file."]
    with pytest.raises(SourceError, match="a glob is missing"):
        folder(tmp_path, exclude=[""])
    with pytest.raises(SourceError, match="a picturebook source has no option exclude"):
        load_pairs("picturebook:test", exclude=["*.png"])


def test_links_are_followed_only_inside_of_the_folder(paint: Paint, tmp_path: Path) -> None:
    paint("photos/a.jpg")
    paint("private/b.jpg")
    photos = tmp_path / "photos"
    (photos / "within.jpg").symlink_to("a.jpg")
    (photos / "out.jpg").symlink_to(tmp_path / "private" / "b.jpg")
    (photos / "album").symlink_to(tmp_path / "private")
    (photos / "broken.jpg").symlink_to("nowhere.jpg")
    (photos / "circle.jpg").symlink_to("circle.jpg")
    (photos / "loop").symlink_to(photos)
    pairs = folder(photos)
    assert pairs.image_ids == ["a.jpg", "within.jpg"]
    assert dict(pairs.skipped) == {
        "album/": "a symbolic link to a folder; --follow-links reads it",
        "broken.jpg": "a symbolic link that leads nowhere",
        "circle.jpg": "a symbolic link that leads nowhere",
        "loop/": "a symbolic link to a folder; --follow-links reads it",
        "out.jpg": "a symbolic link out of the folder; --follow-links reads it",
    }
    followed = folder(photos, follow_links=True)
    assert followed.image_ids == ["a.jpg", "album/b.jpg", "out.jpg", "within.jpg"]
    assert dict(followed.skipped)["loop/"] == "a folder that is read already, by another path"


def test_the_folder_itself_may_be_a_link(paint: Paint, tmp_path: Path) -> None:
    paint("photos/a.jpg")
    (tmp_path / "link").symlink_to("photos")
    (tmp_path / "photos" / "b.jpg").symlink_to("a.jpg")
    assert folder(tmp_path / "link").image_ids == ["a.jpg", "b.jpg"]


def test_pipes_and_unreadable_folders_are_named(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert dict(folder(tmp_path).skipped) == {"pipe.jpg": "not a regular file"}


def test_a_name_that_is_not_utf8_is_read(paint: Paint, tmp_path: Path) -> None:
    content = paint("a.jpg").read_bytes()
    with open(os.fsencode(tmp_path) + b"/caf\xe9 #1.jpg", "wb") as file:
        file.write(content)
    pairs = folder(tmp_path)
    assert pairs.image_ids == ["a.jpg", r"caf\xe9 #1.jpg"]
    assert pairs.image(1).size == (8, 6)
    assert len(pairs.fingerprint) == 64


def test_a_larger_limit_of_pixels(tmp_path: Path) -> None:
    Image.new("L", (8200, 6150)).save(tmp_path / "large.png")
    with pytest.raises(SourceError, match=r"8200 x 6150 pixels; the limit is 50 megapixels \(see --max-meg"):
        folder(tmp_path)
    pairs = folder(tmp_path, max_megapixels=51)
    assert pairs.image(0).size == (8200, 6150)
    for wrong in (0, -1, float("nan"), 1e9):
        with pytest.raises(SourceError, match="must be above 0"):
            folder(tmp_path, max_megapixels=wrong)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cold/a.jpg", "warm/b.jpg"], ["cold", "warm"]),
        (["train/cold/a.jpg", "test/warm/b.jpg"], ["warm", "cold"]),
        (["images/a.jpg", "images/b.jpg"], None),
        (["train/a.jpg", "test/b.jpg"], None),
        (["a.jpg", "warm/b.jpg"], None),
    ],
)
def test_folders_that_are_classes_are_labels(
    names: list[str], labels: list[str] | None, paint: Paint, tmp_path: Path
) -> None:
    for name in names:
        paint(name)
    found = folder(tmp_path).labels
    assert found == (None if labels is None else [[label] for label in labels])


def test_folders_of_numbered_files_with_captions_are_no_classes(paint: Paint, tmp_path: Path) -> None:
    """As img2dataset writes them with `output_format=files`."""
    for name in ("00000/000000000", "00001/000010000"):
        paint(f"{name}.jpg").with_suffix(".txt").write_text(f"picture {name}")
    pairs = folder(tmp_path)
    assert pairs.captions == [["picture 00000/000000000"], ["picture 00001/000010000"]]
    assert pairs.labels is None


def test_files_beside_images_are_captions(paint: Paint, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "c.jpg", "d.jpg", "e.jpg"):
        paint(name)
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "b.caption").write_text("drei Bälle", encoding="utf-8")
    (tmp_path / "c.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    (tmp_path / "d.json").write_text('{"caption": "four", "url": "https://example.org/d.jpg"}')
    (tmp_path / "e.json").write_text("{")
    pairs = folder(tmp_path)
    assert pairs.captions == [["one", "two"], ["drei Bälle"], [], ["four"], []]
    assert dict(pairs.skipped) == {"e.json": "not a JSON file"}
    assert pairs.notes == [
        "Files beside images with lines without letters, which are not captions: 1 (c.txt)."
    ]


def test_a_caption_file_comes_before_files_beside_images(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    (tmp_path / "captions.txt").write_text("a.jpg,first\n")
    (tmp_path / "a.txt").write_text("second")
    pairs = folder(tmp_path)
    assert pairs.captions == [["first"]]
    assert pairs.notes == ["Text files beside images that a caption file names, not read: 1 (a.txt)."]


@pytest.mark.parametrize(
    "name",
    [
        "sub/caf\u0065\u0301.jpg",
        "sub\\caf\u00e9.jpg",
        "SUB/CAF\u00c9.JPG",
        "sub/caf\u00e9",
        " ./sub/caf\u00e9.jpg",
        "caf\u00e9",
    ],
    ids=["NFD", "backslash", "case", "no suffix", "dot", "no folder"],
)
def test_names_in_caption_files_need_not_be_exact(name: str, paint: Paint, tmp_path: Path) -> None:
    paint("sub/caf\u00e9.jpg")
    paint("other.jpg")
    (tmp_path / "metadata.csv").write_text(f"file_name,caption\n{name},a coffee\n", encoding="utf-8")
    pairs = folder(tmp_path)
    assert dict(zip(pairs.image_ids, pairs.captions, strict=True)) == {
        "other.jpg": [],
        "sub/caf\u00e9.jpg": ["a coffee"],
    }
    assert pairs.skipped == []


def test_names_that_fit_several_files_or_lead_out_are_named(paint: Paint, tmp_path: Path) -> None:
    for name in ("in/A.jpg", "in/a.JPG", "in/x/b.jpg", "in/y/b.jpg", "out/c.jpg"):
        paint(name)
    root = tmp_path / "in"
    names = ("a.jpg", "b.jpg", "../out/c.jpg", str(tmp_path / "out" / "c.jpg"), "gone.jpg")
    rows = [*names, str(root / "A.jpg"), "x/../y/b.jpg", r"..\in\y\b.jpg"]
    (root / "captions.txt").write_text("".join(f"{name},words\n" for name in rows))
    pairs = folder(root)
    assert dict(zip(pairs.image_ids, pairs.captions, strict=True)) == {
        "A.jpg": ["words"], "a.JPG": [], "x/b.jpg": [], "y/b.jpg": ["words", "words"]
    }  # fmt: skip
    reasons = dict(pairs.skipped)
    assert reasons.keys() == set(names)
    assert "the name fits several files (A.jpg, a.JPG)" in reasons["a.jpg"]
    assert "the name fits several files (x/b.jpg, y/b.jpg)" in reasons["b.jpg"]
    assert all("but outside of the source" in reasons[name] for name in names[2:4])
    assert "but missing" in reasons["gone.jpg"]
