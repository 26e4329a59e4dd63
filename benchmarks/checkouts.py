"""Run two checkouts of Pairscope side by side, each on its own code, with its own cache and folder."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

CODE = ("app.py", "itr_core", "analysis", "ui", "assets")
"""What a result can depend on, within a checkout."""
LIBRARIES = (
    *("torch", "numpy", "scipy", "scikit-learn", "umap-learn", "faiss-cpu"),
    *("open_clip_torch", "timm", "pillow", "resvg-py"),
)
"""What a result can depend on, outside a checkout."""
COMMANDS = ("ui.cli", "ui.terminal")
"""Modules that have held the command line, newest first."""


@dataclass(frozen=True)
class Checkout:
    """The code in `path`, run in the folder `folder`, where it also writes."""

    path: Path
    folder: Path

    def environment(self) -> dict[str, str]:
        """One thread, no network, no code but that of `path`, a cache of its own."""
        return os.environ | {
            "PYTHONPATH": str(self.path),
            "PYTHONHASHSEED": "0",
            "PAIRSCOPE_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "GRADIO_ANALYTICS_ENABLED": "False",
        }

    def check(self) -> None:
        """Raise RuntimeError if Python would import another copy of the package, such as an installed one."""
        found = Path(self.python("-c", "import itr_core; print(itr_core.__file__)").strip())
        if not found.is_relative_to(self.path):
            raise RuntimeError(f"{self.path} should run its own itr_core, not {found}.")

    def start(self, *arguments: object, output: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        """Start Python with `arguments`; `output` says where stdout and stderr go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(),
            stdout=output,
            stderr=output,
            text=True,
        )

    def python(self, *arguments: object) -> str:
        """Run Python and return its stdout; raise RuntimeError, with the end of its stderr, on failure."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate()
        if process.returncode:
            shown = "\n".join(stderr.strip().splitlines()[-5:])
            raise RuntimeError(f"{' '.join(map(str, arguments))}: exit code {process.returncode}\n{shown}")
        return stdout

    def command(self, *arguments: object) -> list[object]:
        """Arguments of Python that run `pairscope` with `arguments`."""
        module = next(name for name in COMMANDS if (self.path / name.replace(".", "/")).exists())
        return ["-m", module, *arguments]

    def pairscope(self, *arguments: object) -> str:
        """Run `pairscope` and return its stdout; raise RuntimeError on failure."""
        return self.python(*self.command(*arguments))


def identity(path: Path) -> str:
    """A hash of the files of a checkout's packages and of the versions of the libraries, 16 hex digits."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *CODE]
    names = subprocess.run(listed, cwd=path, capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(" ".join(f"{name}={version(name)}" for name in LIBRARIES).encode())
    for name in sorted(filter(None, names.split("\0"))):
        if (path / name).is_file():  # git lists a deleted file until the deletion is committed
            digest.update(name.encode() + b"\0" + (path / name).read_bytes())
    return digest.hexdigest()[:16]
