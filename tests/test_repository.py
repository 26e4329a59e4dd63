"""The files around the code say what is so: citation, security policy, workflows, editor settings."""

import configparser
import importlib.util
import os
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from itr_core.methods import METHODS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
WORKFLOWS = {path.name: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_citation_has_the_version_and_the_licence_of_the_project() -> None:
    assert CITATION["version"] == PROJECT["project"]["version"]
    assert CITATION["license"] == PROJECT["project"]["license"]


def test_the_citation_has_the_paper_of_every_method() -> None:
    papers = {str(paper["scope"]).split('"')[1]: paper for paper in CITATION["references"]}
    assert set(papers) == set(METHODS) - {"infonce"}
    for name, paper in papers.items():
        code = (ROOT / "itr_core" / "methods" / f"{name}.py").read_text(encoding="utf-8")
        identifiers = [f"doi:{paper.get('doi')}", *(each["value"] for each in paper.get("identifiers", []))]
        assert any(identifier in code for identifier in identifiers), name


def test_the_tests_that_hold_the_promises_exist() -> None:
    promises = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", promises)
    assert len(named) == promises.count("`tests/") > 15
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).is_file() or f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_run_scripts_of_the_repository_with_few_rights(name: str) -> None:
    workflow = read(WORKFLOWS[name])
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 180
        for step in job["steps"]:
            assert re.fullmatch(r"\S+@(release/)?v\d+", step.get("uses", "any/action@v1"))
            for script in re.findall(r"(?<!\S)(?:python )?(\.ci/\S+)", step.get("run", "")):
                assert (ROOT / script).is_file(), script
                assert script.endswith(".py") or os.access(ROOT / script, os.X_OK), script
    if name != "release.yml":
        assert all("permissions" not in job for job in workflow["jobs"].values())


def test_every_supported_python_is_tested() -> None:
    versions = read(WORKFLOWS["ci.yml"])["jobs"]["python"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"


def test_the_tests_that_old_versions_leave_out_exist() -> None:
    script = (ROOT / ".ci" / "test-versions").read_text(encoding="utf-8")
    (newer,) = re.findall(r'^newer="(.+)"$', script, re.MULTILINE)
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    names = re.findall(r"def (test_\w+)", "\n".join(files))
    assert [part for part in newer.split(" or ") if not any(part in name for name in names)] == []


def test_editors_and_ruff_agree() -> None:
    config = configparser.ConfigParser()
    config.read_string("[top]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8"))
    assert config["*.py"].getint("max_line_length") == PROJECT["tool"]["ruff"]["line-length"]


def test_hooks_run_what_make_lint_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    commands = re.findall(r"\$\(BIN\)/(\S+(?: check| format)?)", recipe)
    assert len(commands) >= 4
    hooks = " ".join(
        hook.get("entry", "")
        for repository in read(ROOT / ".pre-commit-config.yaml")["repos"]
        for hook in repository["hooks"]
    )
    assert [command for command in commands if f".venv/bin/{command}" not in hooks] == []


@pytest.fixture(scope="module")
def notes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_notes", ROOT / ".ci" / "release_notes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-01\n\n### Added\n- Two.\n\n## [1.1.0]\n"
    )
    return tmp_path


def test_release_notes_are_the_section_of_the_version(notes: ModuleType, checkout: Path) -> None:
    assert notes.release_notes("v1.2.0", checkout) == "### Added\n- Two."


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pyproject.toml", "1.2.0", "1.3.0"),
        ("CITATION.cff", "\nversion: 1.2.0", "\nversion: 1.1.0"),
        ("CHANGELOG.md", "[1.2.0]", "[1.2]"),
    ],
)
def test_a_tag_of_another_version_is_refused(
    notes: ModuleType, checkout: Path, file: str, old: str, new: str
) -> None:
    (checkout / file).write_text((checkout / file).read_text().replace(old, new))
    with pytest.raises(ValueError, match=re.escape(file)):
        notes.release_notes("v1.2.0", checkout)
