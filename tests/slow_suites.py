"""The suites of slow tests, and the table that is printed after them."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest

SUITES = {"kill", "load", "fuzz", "scale"}
"""Markers beside `slow`, each with its own target of make; slow tests without one are listed as "other"."""


class Row(NamedTuple):
    """The tests of one suite that have run."""

    suite: str
    tests: int
    passed: int
    failed: int
    minutes: float


def table(reports: Iterable[pytest.TestReport]) -> list[Row]:
    """Count the slow tests among the reports of a run, which has one report for each phase of a test.

    A test that fails before or after its call has failed; a skipped test has neither passed nor failed.
    """
    slow = [report for report in reports if "slow" in report.keywords]
    rows = []
    for suite in sorted({suite_of(report) for report in slow}):
        of_suite = [report for report in slow if suite_of(report) == suite]
        tests = {report.nodeid for report in of_suite}
        failed = {report.nodeid for report in of_suite if report.failed}
        passed = {report.nodeid for report in of_suite if report.when == "call" and report.passed} - failed
        minutes = sum(report.duration for report in of_suite) / 60
        rows.append(Row(suite, len(tests), len(passed), len(failed), minutes))
    return rows


def suite_of(report: pytest.TestReport) -> str:
    """Return the suite of a slow test."""
    return next(iter(SUITES.intersection(report.keywords)), "other")


def figures(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return what slow tests have measured and recorded with the fixture `record_property`."""
    return [
        f"{report.nodeid.rpartition('::')[2]}: {name} {value}"
        for report in reports
        if "slow" in report.keywords and report.when == "call"
        for name, value in report.user_properties
    ]
