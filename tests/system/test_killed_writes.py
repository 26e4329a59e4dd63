"""A process that is killed before any of its renames leaves the old version or the new one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("system", ["exchange", "two-renames"])
def test_a_write_killed_before_any_rename_leaves_old_or_new(system: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.system.killed_writes", system],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert len(report) == 8
    for name, found in report.items():
        assert found, f"{name}: no rename was seen"
        assert set(found) <= {"old", "new"}, f"{name}: {found}"
