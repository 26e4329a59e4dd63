"""The row cache: built once, resumed after an interruption, complete or absent."""

import logging
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from itr_core.errors import PairscopeError
from itr_core.features.row_cache import Chunk, cached_rows

VALUES = np.random.default_rng(0).integers(0, 256, (50, 3, 4), dtype=np.uint8)


class Maker:
    """Yields VALUES seven rows at a time, is interrupted before row `stop`, and records its start rows."""

    def __init__(self, stop: int = 99) -> None:
        self.stop = stop
        self.starts: list[int] = []

    def __call__(self, start: int) -> Iterator[Chunk]:
        """Yield chunks from row `start` on."""
        self.starts.append(start)
        for first in range(start, len(VALUES), 7):
            if first >= self.stop:
                raise KeyboardInterrupt
            yield VALUES[first : first + 7], {10: "broken"} if first <= 10 < first + 7 else {}


def build(folder: Path, make: Maker) -> None:
    rows = cached_rows(folder, len(VALUES), make, title="", progress=False)
    np.testing.assert_array_equal(rows.values, VALUES)
    assert rows.unusable == {10: "broken"}


def test_a_complete_cache_is_not_computed_again(tmp_path: Path) -> None:
    make = Maker()
    build(tmp_path / "cache", make)
    build(tmp_path / "cache", make)
    assert make.starts == [0]


@pytest.mark.parametrize("cut", [None, 0, 5, 400])
def test_an_interrupted_cache_resumes_after_the_last_whole_row(tmp_path: Path, cut: int | None) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "cache", Maker(stop=28))
    assert not (tmp_path / "cache").exists()
    rows = tmp_path / "cache.part" / "rows.npy"
    whole_rows = 28
    if cut is not None:  # a killed process leaves a part of the header or of a row
        rows.write_bytes(rows.read_bytes()[:cut])
        whole_rows = max(0, cut - 128) // 12
    make = Maker()
    build(tmp_path / "cache", make)
    assert make.starts == [whole_rows]


def test_a_full_disk_is_reported_and_the_cache_resumes(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))  # like a disk with 300 bytes of free space
    try:
        with pytest.raises(PairscopeError, match="Free disk space"):
            build(tmp_path / "cache", Maker())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    make = Maker()
    build(tmp_path / "cache", make)
    assert make.starts[0] > 0


def test_a_damaged_cache_is_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    build(folder, Maker())
    for name in ("rows.npy", "unusable.jsonl", "sha256.json"):
        whole = (folder / name).read_bytes()
        for position in range(0, len(whole), len(whole) // 8):
            changed = bytearray(whole)
            changed[position] ^= 1
            (folder / name).write_bytes(changed)
            make = Maker()
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                build(folder, make)
            assert make.starts == [0]
            assert [each.message for each in caplog.records] == [
                f"The cache {folder} is damaged; it is computed again."
            ]


def test_a_cache_without_digests_is_opened(tmp_path: Path) -> None:
    build(tmp_path / "cache", Maker())
    (tmp_path / "cache" / "sha256.json").unlink()
    make = Maker()
    build(tmp_path / "cache", make)
    assert make.starts == []
