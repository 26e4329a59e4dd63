"""Results are cached as files; a file whose content has changed is noticed and computed again."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.result_store import ResultStore

TABLE = pd.DataFrame({"x": np.arange(50.0), "word": ["dog", "cat"] * 25})
ARRAYS = {"points": np.arange(60.0).reshape(30, 2), "rows": np.arange(30)}


def store(folder: Path) -> ResultStore:
    return ResultStore(folder, lambda name: "key")


def never() -> pd.DataFrame:
    raise AssertionError("computed again")


def test_results_are_read_from_their_files(tmp_path: Path) -> None:
    store(tmp_path / "a").table("table", lambda: TABLE)
    store(tmp_path / "a").arrays("arrays", lambda: ARRAYS)
    pd.testing.assert_frame_equal(store(tmp_path / "a").table("table", never), TABLE)
    again = store(tmp_path / "a").arrays("arrays", never)  # type: ignore[arg-type]  # it only raises
    np.testing.assert_array_equal(again["points"], ARRAYS["points"])


def test_every_flipped_byte_is_noticed_and_the_result_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "a"
    store(folder).table("table", lambda: TABLE)
    store(folder).arrays("arrays", lambda: ARRAYS)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for position in range(0, len(whole), len(whole) // 40):
            changed = bytearray(whole)
            changed[position] ^= 1
            path.write_bytes(changed)
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                pd.testing.assert_frame_equal(store(folder).table("table", lambda: TABLE), TABLE)
                arrays = store(folder).arrays("arrays", lambda: ARRAYS)
            np.testing.assert_array_equal(arrays["points"], ARRAYS["points"])
            assert [record.getMessage() for record in caplog.records] == [
                f"The cached result {path} is damaged; it is computed again."
            ]
            assert path.read_bytes() == whole


def test_files_of_another_key_and_of_ended_processes_are_deleted(tmp_path: Path) -> None:
    store(tmp_path).table("table", lambda: TABLE)
    (tmp_path / ".table.key.parquet.999999999.part").write_bytes(b"half")
    ResultStore(tmp_path, lambda name: "new").table("table", lambda: TABLE)
    assert len(list(tmp_path.iterdir())) == 1
