"""Files and folders are written completely or not at all."""

from pathlib import Path

import pytest

from itr_core.system.files import cache_dir, replace_folder, sha256, whole_file


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
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        f"The cache folder {tmp_path}/file/cache cannot be written"
    ]
