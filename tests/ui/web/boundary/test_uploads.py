"""Uploads have keys, owners, quotas and an end."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from itr_core.errors import QueryError
from ui.web.boundary import uploads as module
from ui.web.boundary.uploads import Uploads, UploadsFullError, read_regular_file


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    stored = Uploads()
    yield stored
    stored.clear()


def add(uploads: Uploads, visitor: str = "a", size: int = 10) -> str:
    with uploads.arriving(visitor, size) as folder:
        (folder / "hash").mkdir()
        path = folder / "hash" / "picture.png"
        path.write_bytes(b"x" * size)
        return uploads.add(visitor, path)


def files(uploads: Uploads) -> list[Path]:
    return [path for path in uploads.folder.rglob("*") if path.is_file()]


def test_an_upload_is_read_by_its_key_only(uploads: Uploads) -> None:
    key = add(uploads)
    assert uploads.read(key) == b"x" * 10
    assert key.endswith("/picture.png")
    messages = set()
    for other in (str(files(uploads)[0]), key.partition("/")[0], f"./{key}", "", "/etc/passwd", "missing"):
        with pytest.raises(QueryError) as caught:
            uploads.read(other)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_keys_of_equal_files_differ(uploads: Uploads) -> None:
    assert add(uploads) != add(uploads)


def test_the_folder_is_private(uploads: Uploads) -> None:
    assert uploads.folder.stat().st_mode & 0o077 == 0


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    assert read_regular_file(file, 5) == b"12345"
    assert read_regular_file(file, 4) is None
    for other in (tmp_path, tmp_path / "link", tmp_path / "pipe", tmp_path / "none", Path("/dev/zero")):
        assert read_regular_file(other, 5) is None


def test_an_upload_that_became_a_link_is_not_followed(uploads: Uploads, tmp_path: Path) -> None:
    key = add(uploads)
    (path,) = files(uploads)
    path.unlink()
    path.symlink_to(tmp_path)
    with pytest.raises(QueryError, match="not among the uploads"):
        uploads.read(key)


def test_an_upload_ends_with_the_last_of_its_sessions(uploads: Uploads) -> None:
    key, other = add(uploads), add(uploads)
    uploads.claim([key, other, "unknown"], "one")
    uploads.claim([key], "two")
    uploads.end("one")
    assert uploads.read(key)
    assert other not in uploads
    uploads.end("two")
    assert key not in uploads
    assert list(uploads.folder.iterdir()) == []


def test_an_upload_ends_some_time_after_its_last_use(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, unused = add(uploads), add(uploads)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + module.LIFETIME - 1)
    uploads.read(key)
    monkeypatch.setattr(time, "monotonic", lambda: now + module.LIFETIME + 1)
    uploads.sweep()
    assert (key in uploads, unused in uploads) == (True, False)


def test_old_files_of_the_scratch_folder_are_deleted(uploads: Uploads) -> None:
    uploads.scratch.mkdir()
    old, new = uploads.scratch / "old", uploads.scratch / "new"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    uploads.sweep()
    assert files(uploads) == [new]


def test_the_oldest_uploads_of_a_visitor_make_room(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VISITOR_BYTES", 100)
    monkeypatch.setattr(module, "VISITOR_FILES", 3)
    honest = add(uploads, "honest")
    keys = [add(uploads, "greedy", 10) for _ in range(5)]
    assert [key in uploads for key in keys] == [False, False, True, True, True]
    large = add(uploads, "greedy", 85)
    assert [key in uploads for key in [*keys, large]] == [False] * 4 + [True, True]
    assert honest in uploads
    with pytest.raises(UploadsFullError):
        add(uploads, "greedy", 101)


def test_what_is_arriving_counts(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VISITOR_BYTES", 100)
    with uploads.arriving("a", 60):
        with pytest.raises(UploadsFullError), uploads.arriving("a", 60):
            pass
        with uploads.arriving("b", 60):
            pass
    with uploads.arriving("a", 60):
        pass
    assert list(uploads.folder.iterdir()) == []


def test_all_uploads_together_have_a_limit(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALL_BYTES", 100)
    for visitor in "abcdefghij":
        add(uploads, visitor)
    with pytest.raises(UploadsFullError):
        add(uploads, "k")
    assert len(files(uploads)) == 10


def test_other_files_of_a_request_are_not_kept(uploads: Uploads) -> None:
    with uploads.arriving("a", 10) as folder:
        (folder / "hash").mkdir()
        (folder / "hash" / "picture.png").touch()
        (folder / "field").touch()
        uploads.add("a", folder / "hash" / "picture.png")
    assert [path.name for path in files(uploads)] == ["picture.png"]


PROGRAM = """
import sys, time
from ui.web.boundary.uploads import UPLOADS
UPLOADS.clear_at_exit()
(UPLOADS.folder / "picture").touch()
print(UPLOADS.folder, flush=True)
time.sleep(60 if sys.argv[1] == "wait" else 0)
"""


def run(tmp_path: Path, argument: str) -> tuple["subprocess.Popen[str]", Path]:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, argument], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    with process.stdout as output:
        return process, Path(output.readline().strip())


def test_uploads_are_deleted_when_the_process_ends_or_the_next_one_starts(tmp_path: Path) -> None:
    process, folder = run(tmp_path, "end")
    assert process.wait(60) == 0
    assert not folder.exists()
    process, folder = run(tmp_path, "wait")
    process.terminate()
    assert process.wait(60) == -15
    assert not folder.exists()
    process, folder = run(tmp_path, "wait")
    process.kill()
    process.wait(60)
    assert folder.exists()
    (tmp_path / f"pairscope-uploads-{os.getpid()}-other").mkdir()
    process, _ = run(tmp_path, "end")
    process.wait(60)
    assert [path.name for path in tmp_path.iterdir()] == [f"pairscope-uploads-{os.getpid()}-other"]
