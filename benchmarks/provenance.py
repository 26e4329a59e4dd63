"""Where and how a benchmark runs: its command line, the machine, the versions of the packages that matter."""

import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch
from results import Machine

from itr_core import Gallery

PACKAGES = (
    "pairscope",
    "torch",
    "torchvision",
    "open_clip_torch",
    "timm",
    "numpy",
    "scikit-learn",
    "faiss-cpu",
    "gradio",
)


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Return the command line of this process as a person types it in the repository's root.

    The option `--results` is left out: it does not change what is measured.

    Args:
        arguments: script and arguments; by default `sys.argv`.
    """
    script, *rest = sys.argv if arguments is None else arguments
    kept: list[str] = []
    for before, word in zip(["", *rest], rest, strict=False):
        if "--results" not in (before, word) and not word.startswith("--results="):
            kept.append(word)
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *kept])


def build_command(folder: Path) -> str:
    """Return the command that builds the gallery in a folder."""
    manifest = Gallery.open(folder).manifest
    return shlex.join(
        ["pairscope", "build", manifest.source, "--model", manifest.model, "--out", str(folder)]
    )


def machine() -> Machine:
    """Describe the machine that this process runs on."""
    memory = None
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        memory_gib=memory,
        accelerator=torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
    )


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages of `PACKAGES`."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


class OtherWork:
    """Processor time that is neither of this process nor of its children, from the construction on."""

    def __init__(self) -> None:
        self._start = time.monotonic(), self._seconds()

    def cores(self) -> float:
        """Return the mean number of cores that other processes used since the construction.

        Children count as other processes until they have ended.
        """
        elapsed, spent = time.monotonic() - self._start[0], self._seconds() - self._start[1]
        return max(0.0, spent / elapsed)

    @staticmethod
    def _seconds() -> float:
        used, own = psutil.cpu_times(), os.times()
        idle = used.idle + getattr(used, "iowait", 0.0)
        # Linux counts the time of guests in `user`, too.
        busy = sum(used) - idle - getattr(used, "guest", 0.0) - getattr(used, "guest_nice", 0.0)
        return float(busy - sum(own[:4]))


def _cpu_model() -> str | None:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or None
