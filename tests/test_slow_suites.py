"""The table that is printed after slow tests."""

from typing import Literal

import pytest

from tests.slow_suites import Row, figures, table


def report(
    test: str, *marks: str, when: Literal["setup", "call"] = "call", failed: bool = False
) -> pytest.TestReport:
    return pytest.TestReport(
        f"tests/test_file.py::{test}", ("tests/test_file.py", 1, test), dict.fromkeys(marks, 1),
        "failed" if failed else "passed", None, when, duration=30.0, user_properties=[("p95", "2 s")],
    )  # fmt: skip


def test_each_test_is_counted_once_in_its_suite() -> None:
    reports = [
        report("test_a", "slow", "kill", when="setup"),
        report("test_a", "slow", "kill"),
        report("test_b", "slow", "kill", when="setup", failed=True),
        report("test_c", "slow"),
        report("test_quick"),
    ]
    assert table(reports) == [Row("kill", 2, 1, 1, 1.5), Row("other", 1, 1, 0, 0.5)]
    assert figures(reports) == ["test_a: p95 2 s", "test_c: p95 2 s"]
