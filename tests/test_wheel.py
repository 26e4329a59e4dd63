"""What is released: the wheel holds every file of the packages, and runs without checkout and network."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("itr_core", "analysis", "ui", "assets")
# Every Python process of the environment imports this: it refuses and records all but local connections.
NO_NETWORK = """
import ipaddress, os, sys, traceback

def local(host):
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def watch(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if not local(host) and host != "0.0.0.0":
        with open(os.environ["NETWORK_LOG"], "a") as log:
            print(event, host, sys.argv, file=log)
            traceback.print_stack(file=log)
        raise OSError(f"no network in this test: {event} {host}")

sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files that git tracks, relative to the root, with forward slashes."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def release(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of the tracked files, and the wheel that is built from that sdist."""
    folder = tmp_path_factory.mktemp("release")
    for name in tracked:  # a copy: in the checkout, file lists of earlier builds would be read
        copy = folder / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(release: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new environment with the wheel and the dependencies of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt", with_pip=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", scheme))
    bin_ = Path(sysconfig.get_path("scripts", "venv", scheme))
    # Python does not execute the .pth files of a folder that a .pth file names, so the finder of the
    # editable installation of the checkout stays inactive.
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(here)))
    (site / "no_network.py").write_text(NO_NETWORK)
    (site / "no_network.pth").write_text("import no_network\n")
    subprocess.run(
        [
            *(bin_ / "python", "-m", "pip", "install", "--quiet"),
            *("--no-index", "--no-deps", "--ignore-installed", release[1]),
        ],
        env=_environment(folder), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return bin_


@pytest.fixture
def away(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment for processes that know nothing of the checkout; the network must stay unused."""
    environment = _environment(tmp_path)
    yield environment
    log = Path(environment["NETWORK_LOG"])
    assert not log.exists(), log.read_text()


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "HF_HUB_OFFLINE")}
    return kept | {
        "PAIRSCOPE_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "huggingface"),
        "NETWORK_LOG": str(folder / "network.log"),
    }


def test_the_wheel_holds_the_tracked_files_of_the_packages_and_no_others(
    tracked: list[str], release: tuple[Path, Path]
) -> None:
    expected = {name for name in tracked if name.split("/")[0] in (*PACKAGES, "app.py")}
    with zipfile.ZipFile(release[1]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected
    kinds = {Path(name).suffix for name in held}
    assert kinds >= {".py", ".html", ".css", ".js", ".svg", ".json", ".yaml", ".safetensors"}


def test_the_sdist_holds_what_a_build_needs(tracked: list[str], release: tuple[Path, Path]) -> None:
    expected = {name for name in tracked if name.split("/")[0] in (*PACKAGES, "app.py")}
    with tarfile.open(release[0]) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    assert held >= expected | {"pyproject.toml", "README.md", "LICENSE"}


def test_commands_of_the_installed_wheel(installed: Path, away: dict[str, str], tmp_path: Path) -> None:
    module = PROJECT["scripts"]["pairscope"].partition(":")[0]
    for command in ([installed / "pairscope"], [installed / "python", "-m", module]):
        done = subprocess.run(
            [*command, "--help"], cwd=tmp_path, env=away, capture_output=True, text=True, check=True
        )
        assert {"demo", "build", "search", "train", "evaluate"} <= set(done.stdout.split())


def test_the_demo_of_the_installed_wheel_answers_a_search(
    installed: Path, away: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [installed / "python", ROOT / ".ci" / "try_demo.py"],
        cwd=tmp_path, env=away, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
