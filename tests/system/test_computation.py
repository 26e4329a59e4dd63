"""A computation in a process of its own: messages, errors, and the end by force."""

import os
import time
from pathlib import Path
from threading import Lock

import pytest

from itr_core.errors import QueryError
from itr_core.system.computation import Computation
from itr_core.system.progress import Progress
from tests.support import has_ended, wait_until


def count_to(number: int, *, progress: Progress) -> int:
    progress(number, 9)
    return number


def refuse(*, progress: Progress) -> None:
    raise QueryError("This gallery has no dogs.")


def read(path: Path, *, progress: Progress) -> str:
    return path.read_text()


def fail(*, progress: Progress) -> None:
    error = LookupError("a detail")
    error.lock = Lock()  # type: ignore[attr-defined]  # locks cannot be pickled
    raise error


def write_pid_and_wait(path: Path, *, progress: Progress) -> None:
    path.write_text(str(os.getpid()))
    while True:
        progress(1, 2)
        time.sleep(0.01)


def test_progress_and_result_come_from_the_other_process() -> None:
    computation = Computation(count_to, 7)
    assert computation.result() == 7
    assert (computation.done, computation.total) == (7, 9)


def test_an_error_keeps_its_class_and_brings_its_traceback() -> None:
    with pytest.raises(QueryError) as caught:
        Computation(refuse).result()
    assert str(caught.value) == "This gallery has no dogs."
    assert "in refuse" in caught.value.__notes__[0]


def test_an_error_of_a_file_is_not_taken_for_the_end_of_the_messages() -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        Computation(read, Path("missing")).result()


def test_an_error_that_cannot_be_pickled_brings_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)in fail.*LookupError: a detail"):
        Computation(fail).result()


def test_a_killed_computation_ends_and_disturbs_no_other_one(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    computation = Computation(write_pid_and_wait, path)
    other = Computation(count_to, 3)
    wait_until(lambda: path.exists() and bool(path.read_text()))
    computation.kill()
    with pytest.raises(RuntimeError, match="exit status -9"):
        computation.result()
    wait_until(lambda: has_ended(int(path.read_text())))
    assert other.result() == 3
    assert Computation(count_to, 4).result() == 4
