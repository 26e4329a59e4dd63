"""Verdicts are appended, read back in order, and survive processes that stop while writing."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.misses import verdicts
from analysis.misses.verdicts import (
    JUDGEMENTS,
    TAKEN_BACK,
    Miss,
    VerdictFile,
    read_verdicts,
    save_verdict,
)
from itr_core.errors import QueryError

MISS: dict[str, Any] = {"gallery": "abc", "direction": "t2i", "query": 7, "found": 3}


def test_verdicts_are_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "verdicts.jsonl"
    assert read_verdicts(path).empty
    before = datetime.now(UTC)
    for verdict in JUDGEMENTS:
        save_verdict(path, **MISS, verdict=verdict)
    table = read_verdicts(path)
    assert table["verdict"].tolist() == list(JUDGEMENTS)
    assert table.drop(columns=["time", "verdict", "owner"]).to_dict("records") == [MISS] * 3
    assert table["time"].between(before, datetime.now(UTC)).all()


def test_numpy_integers_are_accepted(tmp_path: Path) -> None:
    save_verdict(tmp_path / "v", **MISS | {"query": np.int64(5)}, verdict="unclear")
    assert read_verdicts(tmp_path / "v")["query"].tolist() == [5]


def test_verdicts_of_many_threads_are_all_saved(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: save_verdict(tmp_path / "v", **MISS | {"query": n}, verdict="unclear"), range(200)
            )
        )
    assert sorted(read_verdicts(tmp_path / "v")["query"]) == list(range(200))


def test_an_incomplete_line_is_skipped_and_no_other_line_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "v"
    save_verdict(path, **MISS, verdict="unclear")
    line = path.read_bytes()
    for length in range(len(line) - 1):
        path.write_bytes(line + line[:length])
        assert len(read_verdicts(path)) == 1
        save_verdict(path, **MISS, verdict="true error")
        assert read_verdicts(path)["verdict"].tolist() == ["unclear", "true error"]
    path.write_bytes(line + line[:-1])  # only the line break is missing
    save_verdict(path, **MISS, verdict="true error")
    assert len(read_verdicts(path)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "true eror"}, "Did you mean 'true error'"),
        ({"direction": "i2i"}, "direction.*: Input should be 't2i' or 'i2t'"),
        ({"query": -1}, "query: Input should be greater than or equal to 0"),
    ],
)
def test_an_invalid_verdict_is_not_saved(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        save_verdict(tmp_path / "v", **MISS | {"verdict": "unclear"} | change)
    assert not (tmp_path / "v").exists()


BAD = [
    b"hello",
    b'{"way": 3}',
    b"\xff\xfe",
    b'{"time":"2026"}',
    b"[]",
    b"\0",
    b"[" * 10_000,
    b"x" * 1_000_000,
]


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_hides_no_other_one(tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "v"
    file = VerdictFile(path)
    file.save(**MISS, verdict="unclear")
    with path.open("ab") as other:
        other.write(line + b"\n")
    file.save(**MISS | {"query": 8}, verdict="true error")
    assert list(file.of([""], ["abc"]).values()) == ["unclear", "true error"]
    assert file.unreadable == [2]
    assert read_verdicts(path)["query"].tolist() == [7, 8]
    assert "line 2 is no verdict" in caplog.text


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.write_text(
        '{"time":"2026-01-01T00:00:00Z","gallery":"abc","way":"t2i","query":7,"found":3,"verdict":"unclear"}\n'
    )
    assert read_verdicts(path)["owner"].tolist() == [""]
    assert VerdictFile(path).of([""], ["abc"]) == {Miss("t2i", 7, 3): "unclear"}


def test_owners_do_not_change_each_others_verdicts(tmp_path: Path) -> None:
    file = VerdictFile(tmp_path / "v")
    miss = Miss("t2i", 7, 3)
    file.save(**MISS, verdict="unclear")
    file.save(**MISS, verdict="true error", owner="a")
    file.save(**MISS, verdict="actually right", owner="b")
    assert file.of([""], ["abc"]) == {miss: "unclear"}
    assert file.of(["", "a"], ["abc"]) == {miss: "true error"}
    assert file.of(["b", "a"], ["abc"]) == {miss: "true error"}
    assert file.of(["a"], ["other"]) == file.of(["c"], ["abc"]) == {}
    assert [b'"owner":"a"' in line for line in file.lines_of("a")] == [True]


def test_a_verdict_can_be_taken_back(tmp_path: Path) -> None:
    file = VerdictFile(tmp_path / "v")
    for owner in "ab":
        file.save(**MISS, verdict="unclear", owner=owner)
    file.save(**MISS, verdict=TAKEN_BACK, owner="a")
    assert file.of(["a"], ["abc"]) == {}
    assert len(file.of(["b"], ["abc"])) == 1
    file.save(**MISS, verdict="true error", owner="a")
    assert list(file.of(["a"], ["abc"]).values()) == ["true error"]


def test_only_new_lines_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v"
    read: list[bytes] = []
    parsed = verdicts._parsed

    def counted(line: bytes) -> verdicts.Verdict | None:
        read.append(line)
        return parsed(line)

    monkeypatch.setattr(verdicts, "_parsed", counted)
    file = VerdictFile(path)
    for query in range(5):
        save_verdict(path, **MISS | {"query": query}, verdict="unclear")  # by another process
        read.clear()
        assert len(file.of([""], ["abc"])) == query + 1
        assert len(read) == 1
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.splitlines(keepends=True)[0])  # another file
    assert len(file.of([""], ["abc"])) == 1
    path.unlink()
    assert file.of([""], ["abc"]) == {}


def test_an_owner_and_a_file_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOST_OF_OWNER", 2)
    file = VerdictFile(tmp_path / "v")
    for verdict in ("unclear", TAKEN_BACK):
        file.save(**MISS, verdict=verdict, owner="a")
    with pytest.raises(QueryError, match="2 verdicts of yours, the limit"):
        file.save(**MISS, verdict="unclear", owner="a")
    file.save(**MISS, verdict="unclear", owner="b")
    monkeypatch.setattr(verdicts, "MOST_BYTES", (tmp_path / "v").stat().st_size)
    with pytest.raises(QueryError, match="no more verdicts"):
        file.save(**MISS, verdict="unclear", owner="c")


def test_links_and_pipes_in_the_place_of_the_file_are_not_opened(tmp_path: Path) -> None:
    other, link, pipe = tmp_path / "other", tmp_path / "link", tmp_path / "pipe"
    other.write_text("private\n")
    link.symlink_to(other)
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="symbolic"):
        VerdictFile(link).save(**MISS, verdict="unclear")
    with pytest.raises(OSError, match="seek"):
        VerdictFile(pipe).save(**MISS, verdict="unclear")
    assert other.read_text() == "private\n"
