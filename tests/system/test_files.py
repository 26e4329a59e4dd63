"""Files and folders are written completely or not at all."""

import os
import pickle
from errno import EACCES, ENOENT, ENOSPC
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from itr_core.errors import WriteError
from itr_core.system.files import (
    cache_dir,
    merge_folder,
    replace_folder,
    sha256,
    sweep,
    temporary,
    whole_file,
    writing,
)


def test_a_file_is_replaced_only_if_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with whole_file(path) as part:
        part.write_text("old")

    def interrupted_write() -> None:
        with whole_file(path) as part:
            part.write_text("half of the new")
            raise ValueError("interrupted")

    with pytest.raises(ValueError, match="interrupted"):
        interrupted_write()
    assert path.read_text() == "old"
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    with whole_file(tmp_path / "new" / "report.html") as part:
        part.write_text("whole")
    assert (tmp_path / "new" / "report.html").read_text() == "whole"


@pytest.mark.parametrize(
    ("error", "is_explained"),
    [
        (OSError(ENOSPC, "No space left on device"), True),
        (PermissionError(EACCES, "Permission denied", "/elsewhere/photo.jpg"), False),
        (FileNotFoundError(ENOENT, "No such file or directory"), False),
        (RuntimeError("basic_ios::clear: iostream error"), False),  # of OpenVINO; here the disk has room
    ],
)
def test_only_errors_of_writing_are_explained(tmp_path: Path, error: Exception, is_explained: bool) -> None:
    with pytest.raises(WriteError if is_explained else type(error)) as raised, writing(tmp_path / "file"):
        raise error
    assert isinstance(raised.value, WriteError) == is_explained
    assert not list(tmp_path.iterdir())


def test_an_explained_error_survives_a_process(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(WriteError(ENOSPC, "No space left on device", "/x")))
    assert str(error).startswith("/x cannot be written (No space left on device). Free disk space")


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_takes_the_place_of_another(tmp_path: Path, exists: bool) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.mkdir()
    (new / "b").write_text("2")
    if exists:
        old.mkdir()
        (old / "a").write_text("1")
    replace_folder(new, old)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["old", "old/b"]


def test_only_new_files_of_a_folder_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        (folder / "thumbnails").mkdir(parents=True)
    (old / "thumbnails" / "0").write_text("0")
    os.link(old / "thumbnails" / "0", new / "thumbnails" / "0")
    (new / "thumbnails" / "1").write_text("1")
    flushed: list[Path] = []
    monkeypatch.setattr("itr_core.system.files._flush", flushed.append)
    replace_folder(new, old)
    assert sorted(flushed) == [tmp_path, new, new / "thumbnails", new / "thumbnails" / "1"]


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")  # test vector of FIPS 180-2
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_environment_names_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "elsewhere"))
    assert cache_dir("pixels") == tmp_path / "elsewhere" / "pixels"
    assert cache_dir("pixels").is_dir()


def test_without_a_writable_cache_a_temporary_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "file" / "cache"))
    folder = cache_dir("pixels")
    (folder / "a").touch()
    assert cache_dir("pixels") == folder
    with pytest.raises(WriteError, match=f"{tmp_path}/file/cache cannot be written"):
        cache_dir("pixels", lasting=True)
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        f"The cache folder {tmp_path}/file/cache cannot be written"
    ]


ENDED = 999_999_999
"""Number of no process: Linux and macOS have fewer."""


def test_leftovers_of_ended_processes_are_swept(tmp_path: Path) -> None:
    ours = temporary(tmp_path / "report.html")
    for name in (f".report.html.{ENDED}.part", ours.name, ".notes.part", "other.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / f".model.{ENDED}.part" / "inside").mkdir(parents=True)
    (tmp_path / "gallery").mkdir()
    (tmp_path / f".gallery.{ENDED}.old").mkdir()
    sweep(tmp_path, "model")
    assert (tmp_path / f".report.html.{ENDED}.part").exists()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ours.name, ".notes.part", "other.txt", "gallery"}
    sweep(tmp_path / "missing")


def test_a_folder_retired_by_an_ended_process_gets_its_name_back(tmp_path: Path) -> None:
    (tmp_path / f".gallery.{ENDED}.old").mkdir()
    sweep(tmp_path)
    assert (tmp_path / "gallery").is_dir()


def test_a_file_gets_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        with whole_file(tmp_path / "weights.safetensors") as part:
            save_file({"a": np.ones(2)}, part)
    finally:
        os.umask(mask)
    assert (tmp_path / "weights.safetensors").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_merging_keeps_other_files_and_replaces_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool, inside: bool
) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    (old / "last").mkdir(parents=True)
    new.mkdir()
    for path in ("last/kept", "log", "weights", "gone"):
        (old / path).write_text("old")
    for path in ("weights", "sums"):
        (new / path).write_text("new")
    if inside:
        monkeypatch.chdir(old)
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    with (old / "log").open("a") as log:
        merge_folder(new, old, last="sums", without=["gone", "weights"])
        log.write(" and more")  # an open file goes on
    content = {
        path.relative_to(old).as_posix(): path.read_text() for path in old.rglob("*") if path.is_file()
    }
    assert content == {"last/kept": "old", "log": "old and more", "weights": "new", "sums": "new"}
    assert Path.cwd().exists()


def refuse(*_: object, **__: object) -> None:
    raise OSError("no hard links here")
