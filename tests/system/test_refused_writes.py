"""A command that cannot write says so and leaves what was there; repeated, it finishes."""

import ctypes
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DROP, OVERRIDE = 24, 1
"""PR_CAPBSET_DROP, CAP_DAC_OVERRIDE: without the latter, a superuser may not write in protected folders."""

COMMANDS = ["train", "export", "analyze", "index", "update", "build"]


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, Any]]:
    """Return how each command ended, by condition and command."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.system.refused_writes"],
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: ctypes.CDLL(None).prctl(DROP, OVERRIDE),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="folders are protected from a superuser on Linux only")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("condition", "remedy"), [("full disk", "Free disk space"), ("read-only", "Choose a.* folder")]
)
def test_a_refused_write_is_explained_and_leaves_the_old_state(
    report: dict[str, dict[str, Any]], command: str, condition: str, remedy: str
) -> None:
    found = report[condition][command]
    assert found["code"] == 2, found["output"]
    assert re.search(f"/(data|cache).* (cannot be written|is write-protected).*{remedy}", found["output"])
    assert "Traceback" not in found["output"]
    assert found["is_whole"]
    assert found["code_again"] == 0, found["output_again"]
