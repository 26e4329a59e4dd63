"""Verdicts are appended, read back in order, and survive processes that stop while writing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.misses.verdicts import JUDGEMENTS, read_verdicts, save_verdict
from itr_core.errors import GalleryError, QueryError

MISS: dict[str, Any] = {"gallery": "abc", "direction": "t2i", "query": 7, "found": 3}


def test_verdicts_are_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "verdicts.jsonl"
    assert read_verdicts(path).empty
    before = datetime.now(UTC)
    for verdict in JUDGEMENTS:
        save_verdict(path, **MISS, verdict=verdict)
    table = read_verdicts(path)
    assert table["verdict"].tolist() == list(JUDGEMENTS)
    assert table.drop(columns=["time", "verdict"]).to_dict("records") == [MISS] * 3
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


@pytest.mark.parametrize("line", [b"hello", b'{"way": 3}', b"\xff\xfe", b'{"time":"2026"}', b"[]"])
def test_a_file_with_other_lines_is_refused(tmp_path: Path, line: bytes) -> None:
    save_verdict(tmp_path / "v", **MISS, verdict="unclear")
    with (tmp_path / "v").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(GalleryError, match=r"v, line 2: invalid verdict"):
        read_verdicts(tmp_path / "v")
