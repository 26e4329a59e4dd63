"""Rules of the code base: import contracts, no pickle, a light start, small files, a valid Space."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("itr_core", "analysis", "ui")
CODE = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")] + [ROOT / "app.py"]


def run_python(program: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_contracts_hold() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


def test_public_names_can_be_imported() -> None:
    program = """
from itr_core import Gallery, Searcher, evaluate, load_encoder, load_pairs, train
from itr_core.metrics import retrieval_metrics
from itr_core.methods import METHODS
from analysis.geometry import alignment, uniformity
print(sorted(METHODS), callable(retrieval_metrics), callable(train), callable(alignment))
"""
    assert run_python(program) == "['ascl', 'coder', 'crcgs', 'cusa', 'infonce', 'siglip'] True True True"


def test_no_code_unpickles() -> None:
    unsafe = re.compile(
        r"import pickle|pickle\.\w|torch\.load\(|joblib\.load\(|allow_pickle=True|weights_only=False"
    )
    assert [str(path) for path in CODE if unsafe.search(path.read_text(encoding="utf-8"))] == []


def test_images_are_opened_in_one_place() -> None:
    opened = {str(path.relative_to(ROOT)) for path in CODE if "Image.open(" in path.read_text("utf-8")}
    own = "itr_core/picturebook/sprites.py"  # opens what Picturebook has drawn itself
    assert opened == {"itr_core/pairs/decoding.py", own}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("itr_core", {"torch", "open_clip", "datasets", "sklearn"}),
        ("itr_core.vocabulary", {"torch", "open_clip", "datasets", "sklearn"}),
        ("itr_core.training.config", {"torch", "open_clip", "datasets", "sklearn"}),
        ("ui.cli", {"torch", "open_clip", "datasets", "sklearn", "gradio", "pandas", "pydantic"}),
        ("ui.web.app", {"umap", "numba", "sklearn", "datasets", "plotly"}),
    ],
)
def test_importing_a_module_stays_light(module: str, heavy: set[str]) -> None:
    assert run_python(f"import sys, {module}; print({heavy} & set(sys.modules))") == "set()"


def test_files_stay_small() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in CODE}
    assert {path: count for path, count in lines.items() if count > 400} == {}


def test_requirements_of_the_space_match_pyproject() -> None:
    assert (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() == PROJECT["dependencies"]


def test_readme_is_a_valid_space_card() -> None:
    front_matter = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1]
    card = yaml.safe_load(front_matter)
    assert card["sdk"] == "gradio"
    assert (ROOT / card["app_file"]).is_file()
    gradio = next(need for need in PROJECT["dependencies"] if need.startswith("gradio"))
    match = re.search(r">=([\d.]+)", gradio)
    assert match is not None
    oldest = [int(part) for part in match[1].split(".")]
    assert [int(part) for part in str(card["sdk_version"]).split(".")] >= oldest
    assert str(card["python_version"]) == "3.11"
    assert card["license"] == "apache-2.0"
    assert len(card["short_description"]) <= 60  # the Hub's limit


def test_weights_of_starter_models_are_small() -> None:
    weights = list((ROOT / "assets" / "models").rglob("*.safetensors"))
    assert weights
    assert all(path.stat().st_size < 10_000_000 for path in weights)
