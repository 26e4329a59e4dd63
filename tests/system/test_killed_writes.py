"""A process that is killed before any of its renames leaves the old version or the new one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.kill]


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, list[str]]]:
    """Return what was found after each kill, by system and write."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.system.killed_writes"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


@pytest.mark.parametrize("system", ["exchange", "two-renames"])
def test_a_write_killed_before_any_rename_leaves_old_or_new(
    system: str, report: dict[str, dict[str, list[str]]]
) -> None:
    assert len(report[system]) == 9
    for name, found in report[system].items():
        assert found, f"{name}: no rename was seen"
        assert set(found) <= {"old", "new"}, f"{name}: {found}"
