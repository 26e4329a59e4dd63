"""Images in archives: read where they are stored, bounded, and never by a name that leads out."""

import io
import os
import pickle
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from itr_core.errors import ImageError, SourceError
from itr_core.pairs import load_pairs
from itr_core.pairs.archives import list_archive
from itr_core.pairs.decoding import check_image, decode_image
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.report import Report


def png(colour: str = "red", side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # mode is any text
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def archive_bytes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of an archive of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    made = {"zip": write_zip(folder / "x.zip", FILES), "tar": write_tar(folder / "x.tar", FILES)}
    return {kind: path.read_bytes() for kind, path in made.items()}


FILES = {
    "photos/a.png": png("red"),
    "photos/b.png": png("blue"),
    "photos/captions.txt": b"a.png,a red square\nb.png,a blue one\nc.png,gone\n",
    "photos/clip.mp4": b"video",
    "__MACOSX/photos/._a.png": b"x",
}


@pytest.mark.parametrize(
    "name",
    ["x.zip", "stored.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz", "X.TAR", "gz named.tar"],
)
def test_an_archive_is_read_like_a_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / name
    if path.suffix == ".zip":
        write_zip(path, FILES, zipfile.ZIP_STORED if "stored" in name else zipfile.ZIP_DEFLATED)
    else:
        write_tar(
            path,
            FILES,
            f"w:{'gz' if 'gz' in name else name[-3:].strip('.').replace('tar', '').replace('TAR', '')}",
        )
    pairs = load_pairs(str(path))
    assert pairs.source == f"archive:{path}"
    assert pairs.image_ids == ["photos/a.png", "photos/b.png"]
    assert pairs.captions == [["a red square"], ["a blue one"]]
    assert pairs.image(1).getpixel((0, 0)) == (0, 0, 255)
    assert dict(pairs.skipped) == {
        "c.png": "named in photos/captions.txt, but missing",
        "photos/clip.mp4": "a video; only images are read",
    }
    folder = tmp_path / "folder"
    for member, content in FILES.items():
        (folder / member).parent.mkdir(parents=True, exist_ok=True)
        (folder / member).write_bytes(content)
    assert pairs.fingerprint == load_pairs(f"folder:{folder}").fingerprint


def shard(number: int, count: int = 2) -> dict[str, bytes]:
    """The files of one shard as img2dataset writes them."""
    files: dict[str, bytes] = {}
    for key in (f"{number:05}{row:04}" for row in range(count)):
        files |= {
            f"{key}.jpg": png(),
            f"{key}.txt": f"picture {key}".encode(),
            f"{key}.json": b'{"caption": "no"}',
        }
    return files


def test_shards_by_folder_glob_and_range(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"{number:05}.tar", shard(number))
        (tmp_path / f"{number:05}_stats.json").write_text("{}")
    ids = ["00000/000000000.jpg", "00000/000000001.jpg", "00001/000010000.jpg", "00001/000010001.jpg"]
    for spec in (f"{tmp_path}/{{00000..00001}}.tar", f"archive:{tmp_path}/00000..00001.tar"):
        pairs = load_pairs(spec)
        assert pairs.image_ids == ids
        assert pairs.captions == [[f"picture {Path(name).stem}"] for name in ids]
        assert pairs.labels is None
    for spec in (str(tmp_path), f"archive:{tmp_path}", f"archive:{tmp_path}/*.tar"):
        assert len(load_pairs(spec)) == 6
    pairs = load_pairs(f"archive:{tmp_path}/{{00001..00004}}.tar")
    assert len(pairs) == 4
    assert [Path(name).name for name, _ in pairs.skipped] == ["00003.tar", "00004.tar"]
    assert len(load_pairs(f"archive:{tmp_path}/{{00000,00002}}.tar")) == 4
    for wrong in ("{00005..00001}.tar", "{0..99999999}.tar"):
        with pytest.raises(SourceError, match="is no range of at most 100,000 shards"):
            load_pairs(f"archive:{tmp_path}/{wrong}")


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("a.tar.zst", b"\x28\xb5\x2f\xfd", "Zstandard"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        ("a.rar", b"Rar!", "RAR"),
    ],
)
def test_archives_of_other_kinds_are_named(name: str, start: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(start + bytes(100))
    for spec in (f"archive:{tmp_path / name}", str(tmp_path / name)):
        with pytest.raises(SourceError, match=f"archives of {kind} are not read; unpack it"):
            load_pairs(spec)
    write_tar(tmp_path / "0.tar", shard(0))
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    assert [each for each in load_pairs(f"folder:{tmp_path}").skipped if each.name == name] == [
        (name, "an archive that is not read; unpack it")
    ]


def test_a_damaged_shard_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", shard(0))
    (tmp_path / "1.tar").write_bytes(b"these are words" * 100)
    whole = write_tar(tmp_path / "2.tar", shard(2)).read_bytes()
    (tmp_path / "2.tar").write_bytes(whole[:1700])
    pairs = load_pairs(str(tmp_path))
    assert pairs.image_ids == ["0/000000000.jpg", "0/000000001.jpg", "2/000020000.jpg"]
    assert {Path(name).name: reason.split(" (")[0] for name, reason in pairs.skipped} == {
        "1.tar": "no .zip or .tar archive, or a damaged one",
        "2.tar": "damaged after 2 files",
    }
    with pytest.raises(SourceError, match=r"1\.tar: no \.zip or \.tar archive, or a damaged one"):
        load_pairs(f"archive:{tmp_path / '1.tar'}")


def test_pickles_and_arrays_in_shards_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    trap = pickle.dumps(Trap())
    suffixes = ("pyd", "pickle", "pkl", "pth", "npy", "cls")
    write_tar(
        tmp_path / "0.tar", {"a.jpg": png(), "a.txt": b"a square"} | {f"a.{name}": trap for name in suffixes}
    )
    pairs = load_pairs(str(tmp_path / "0.tar"))
    assert pairs.captions == [["a square"]]
    assert len(pairs.fingerprint) == 64
    assert not (tmp_path / "trapped").exists()
    assert "passed over: 6" in pairs.notes[0]


@pytest.mark.parametrize("name", ["../a.png", "/tmp/a.png", "b/../../a.png", "..\\a.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_of_an_archive_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    (write_zip if kind == "zip" else write_tar)(path, {name: png(), "ok.png": png()})
    pairs = load_pairs(str(path))
    assert pairs.image_ids == ["ok.png"]
    assert [reason for _, reason in pairs.skipped] == ["its name leads out of the archive"]


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(png())
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in (
            ("soft.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(tmp_path / "private.png")
            archive.addfile(info)
    link = zipfile.ZipInfo("soft.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(link, str(tmp_path / "private.png"))
    with pytest.raises(SourceError, match=r"no images\. soft\.png: no regular file in the archive; hard"):
        load_pairs(str(tmp_path / "x.tar"))
    with pytest.raises(SourceError, match=r"no images\. soft\.png: a symbolic link in an archive"):
        load_pairs(str(tmp_path / "x.zip"))


def test_bombs_are_left_out_without_being_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    write_zip(tmp_path / "x.zip", {"bomb.bmp": bytes(30_000_000), "ok.png": png()})
    pairs = load_pairs(str(tmp_path / "x.zip"))
    assert pairs.image_ids == ["ok.png"]
    assert "30 MB from 0.0 MB in the archive" in pairs.skipped[0].reason
    write_tar(tmp_path / "x.tar.gz", {"bomb.bmp": bytes(120_000_000)}, "w:gz")
    with pytest.raises(SourceError, match=r"it expands to more than .* MB; unpack it"):
        load_pairs(str(tmp_path / "x.tar.gz"))
    assert list((tmp_path / "cache").rglob("*.tar*")) == []


def test_overlapping_files_of_a_zip_are_refused(tmp_path: Path) -> None:
    data = bytearray(write_zip(tmp_path / "x.zip", {f"{name}.png": png() for name in "ab"}).read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = (5).to_bytes(4, "little")  # the offset of its content
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(SourceError, match="files that overlap"):
        load_pairs(str(tmp_path / "x.zip"))


def test_what_cannot_be_read_in_a_zip_is_named(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"a.png": png()})
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as archive:
        archive.writestr("b.png", png(), zipfile.ZIP_LZMA)
        archive.writestr("empty.png", b"")
        archive.writestr("noise.png", np.random.default_rng(0).bytes(500))
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # encrypted
    (tmp_path / "x.zip").write_bytes(data)
    pairs = load_pairs(str(tmp_path / "x.zip"))
    assert pairs.image_ids == ["a.png"]
    assert {name: reason.split(";")[0] for name, reason in pairs.skipped} == {
        "b.png": "compressed in a way that is not read",
        "empty.png": "empty file (0 bytes)",
        "noise.png": "encrypted",
    }


def test_a_damaged_image_in_a_zip_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_zip(tmp_path / "x.zip", {"a.png": png(side=64)})) as archive:
        (info,) = archive.infolist()
    data = bytearray((tmp_path / "x.zip").read_bytes())
    middle = info.header_offset + 40 + info.compress_size // 2
    data[middle : middle + 20] = bytes(20)
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.png: damaged in its archive|not a JPEG|truncated"):
        load_pairs(str(tmp_path / "x.zip")).image(0)


def test_excluded_files_of_an_archive(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": png(), "raw/b.png": png()})
    assert load_pairs(str(path), exclude=["raw"]).image_ids == ["a.png"]


def test_an_archive_that_vanishes_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": png()})
    pairs = load_pairs(str(path))
    path.unlink()
    with pytest.raises(ImageError, match=r"^a\.png: cannot be read \(No such file"):
        pairs.image(0)
    with pytest.raises(SourceError, match="no such archive"):
        load_pairs(str(path))


def test_a_reference_cannot_read_beyond_its_archive(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12345")
    with pytest.raises(ImageError, match="damaged in its archive"):
        decode_image(f"part:2+100:{tmp_path}/short")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_archives_are_read_or_refused(
    kind: str, data: st.DataObject, archive_bytes: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(archive_bytes[kind])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x"
    path.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    with suppress(SourceError):
        for entry in list_archive(path, FileOptions(), Report()):
            with suppress(ImageError):
                check_image(entry.reference)


def test_a_zip_of_a_later_version_is_refused(tmp_path: Path) -> None:
    data = bytearray(write_zip(tmp_path / "x.zip", {"a.png": png()}).read_bytes())
    data[data.rindex(b"PK\x01\x02") + 6] = 99
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(SourceError, match=r"a damaged one \(zip file version 9\.9"):
        load_pairs(str(tmp_path / "x.zip"))


def test_archives_in_folders_below_and_by_link(tmp_path: Path) -> None:
    write_zip(tmp_path / "private.zip", {"a.png": png()})
    for name in ("set/train/0.tar", "set/val/0.tar"):
        write_tar(tmp_path / name, shard(0, 1))
    (tmp_path / "set" / "link.zip").symlink_to(tmp_path / "private.zip")
    pairs = load_pairs(str(tmp_path / "set"))
    assert pairs.image_ids == ["train/0/000000000.jpg", "val/0/000000000.jpg"]
    assert dict(pairs.skipped) == {"link.zip": "a symbolic link out of the folder; --follow-links reads it"}
    assert len(load_pairs(str(tmp_path / "set"), follow_links=True)) == 3
