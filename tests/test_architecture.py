"""The rules of the house that a machine can hold: doors, no pickle, a light start, a Space as it stands."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CODE = [path for folder in ("itr_core", "analysis", "ui") for path in (ROOT / folder).rglob("*.py")] + [
    ROOT / "app.py"
]


def test_doors_between_rooms() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


def test_nothing_unpickles() -> None:
    unsafe = re.compile(
        r"import pickle|pickle\.\w|torch\.load\(|joblib\.load\(|allow_pickle=True|weights_only=False"
    )
    assert [str(path) for path in CODE if unsafe.search(path.read_text(encoding="utf-8"))] == []


def test_app_starts_light() -> None:
    slow = {"umap", "numba", "sklearn", "datasets", "plotly"}
    loaded = subprocess.run(
        [sys.executable, "-c", f"import app, sys; print({slow} & set(sys.modules))"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "set()"


def test_files_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): n
        for path in CODE
        if (n := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert long == {}


def test_requirements_of_the_space_come_from_pyproject() -> None:
    assert (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() == PROJECT["dependencies"]


def test_readme_is_a_space_card() -> None:
    front = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1]
    card = yaml.safe_load(front)
    assert card["sdk"] == "gradio"
    assert (ROOT / card["app_file"]).is_file()
    floor = next(
        re.search(r">=([\d.]+)", need)[1] for need in PROJECT["dependencies"] if need.startswith("gradio")
    )
    assert [int(part) for part in str(card["sdk_version"]).split(".")] >= [
        int(part) for part in floor.split(".")
    ]
    assert str(card["python_version"]) == "3.11"
    assert card["license"] == "apache-2.0"
    assert len(card["short_description"]) <= 60  # the Hub's limit


def test_starter_weights_are_small() -> None:
    weights = list((ROOT / "assets" / "models").rglob("*.safetensors"))
    assert weights
    assert all(path.stat().st_size < 10_000_000 for path in weights)
