"""Do what the documentation says: run the commands of a page, follow a guide in a copy of the packages."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.error import URLError

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(__file__).parent / "examples"
BLOCK = re.compile(
    r"^<!-- (?P<kind>run|serve)(?: with: (?P<changes>.+?))? -->\n"
    r"```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
ADDRESS = "http://127.0.0.1:7860"

collect_ignore = ["examples"]  # they belong to the copies that the guides make


class Block(NamedTuple):
    """A code block that is marked to be run; kind `serve` starts a server."""

    kind: str
    language: str
    code: str


class Run(Protocol):
    """Runs a command of bash or a program of Python, and fails with what it printed."""

    def __call__(self, code: str, language: str = "sh", packages: Path = ROOT) -> str:
        """Return its standard output."""
        ...


class Serve(Protocol):
    """Starts a command that serves the app."""

    def __call__(self, code: str, packages: Path = ROOT) -> str:
        """Return its address, once it answers."""
        ...


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page after `<!-- run -->` or `<!-- serve -->`, in order.

    `<!-- run with: train@2000 => train@64, A => B -->` runs them with smaller sizes.
    """
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        code = match["code"]
        for change in filter(None, (match["changes"] or "").split(", ")):
            old, new = change.split(" => ")
            assert old in code, f"{page.name}: {change!r} changes nothing of:\n{code}"
            code = code.replace(old, new)
        yield Block(match["kind"], match["language"], code)


def apply_diff(root: Path, diff: str) -> None:
    """Make the edits of a diff whose hunks (`@@`) have no line numbers: each must fit exactly one place."""
    for part in re.split(r"^--- a/.*\n", diff, flags=re.MULTILINE)[1:]:
        header, *hunks = re.split(r"^@@\n", part, flags=re.MULTILINE)
        path = root / header.removeprefix("+++ b/").strip()
        text = path.read_text(encoding="utf-8")
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            old, new = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
            assert text.count(old) == 1, f"{path} has {text.count(old)} places for:\n{hunk}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to work in."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[Path], dict[str, str]]:
    """`environment(packages)`: `pairscope` and `python` are on the path and run the code of `packages`."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    command = binaries / "pairscope"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ui.cli "$@"\n')
    command.chmod(0o755)
    tools = Path(sys.executable).parent  # python, lint-imports
    path = os.pathsep.join([str(binaries), str(tools), os.environ["PATH"]])
    return lambda packages: os.environ | {"PYTHONPATH": str(packages), "PATH": path, "COLUMNS": "200"}


@pytest.fixture
def run(folder: Path, environment: Callable[[Path], dict[str, str]]) -> Run:
    """Runs code in the empty folder."""

    def execute(code: str, language: str = "sh", packages: Path = ROOT) -> str:
        command = ["python", "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
        variables = environment(packages)
        done = subprocess.run(
            [shutil.which(command[0], path=variables["PATH"]) or command[0], *command[1:]],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{code}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    return execute


@pytest.fixture
def follow(tmp_path: Path, run: Run) -> Callable[[str, dict[str, str]], Path]:
    """`follow(guide, {file: folder})` does what a guide says, in a copy of the packages that it returns.

    It adds the guide's files, makes its edits, runs its test and the doctests of its modules, and checks the
    rules of import-linter.
    """

    def apply(guide: str, places: dict[str, str]) -> Path:
        root = tmp_path / "packages"
        for package in ("itr_core", "analysis", "ui"):
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        helpers = [path for path in (ROOT / "tests").glob("*.py") if not path.name.startswith("test_")]
        helpers += (ROOT / "tests/ui").glob("*.py")
        for path in (ROOT / "app.py", ROOT / "pyproject.toml", *helpers):
            copied = root / path.relative_to(ROOT)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copied)
        (root / "assets").symlink_to(ROOT / "assets")
        for file, folder in places.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(EXAMPLES / guide / file, root / folder)
        apply_diff(root, (EXAMPLES / guide / "register.diff").read_text(encoding="utf-8"))
        modules = " ".join(f"{folder}{file}" for file, folder in places.items() if file.endswith(".py"))
        run(f"cd {root} && python -m pytest -q -p no:cacheprovider {modules}", packages=root)
        run(f"cd {root} && lint-imports", packages=root)
        return root

    return apply


@pytest.fixture
def serve(folder: Path, environment: Callable[[Path], dict[str, str]]) -> Iterator[Serve]:
    """Starts servers in the empty folder, and ends them after the test."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(code: str, packages: Path = ROOT) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address, log = ADDRESS.replace("7860", str(port)), folder / f"server-{port}.txt"
        with log.open("w") as out:
            servers.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec env {code}"],
                    cwd=folder,
                    env=environment(packages) | {"PAIRSCOPE_PORT": str(port)},
                    stdout=out,
                    stderr=out,
                )
            )
        for _ in range(240):
            assert servers[-1].poll() is None, f"{code}\n{log.read_text()}"
            try:
                urllib.request.urlopen(address, timeout=2)
                return address
            except (URLError, TimeoutError):
                time.sleep(0.5)
        raise AssertionError(f"{code} does not answer.\n{log.read_text()}")

    yield start
    for server in servers:
        server.terminate()
        server.wait(20)


@pytest.fixture
def follow_page(run: Run, serve: Serve) -> Callable[[str], None]:
    """`follow_page("tutorials/host-it.md")` runs all marked blocks of a page, in order, in one folder."""

    def go(page: str) -> None:
        address, marked = ADDRESS, list(blocks(ROOT / "docs" / page))
        assert marked, f"{page} has no block to run."
        for block in marked:
            if block.kind == "serve":
                address = serve(block.code)
            else:
                run(block.code.replace(ADDRESS, address), block.language)

    return go
