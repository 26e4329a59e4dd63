"""The benchmark commands: help for every option, and refusals."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

SCRIPTS = (
    "analysis_page",
    "bench",
    "calibration",
    "cases",
    "clip_retrieval_peer",
    "cold_query",
    "comparison",
    "examples",
    "false_alarms",
    "first_start",
    "flickr8k",
    "flickr8k_towers",
    "geometry_cost",
    "growth",
    "hash_codes",
    "http_search",
    "image_encoding",
    "large_batch",
    "learn_data",
    "learn_page",
    "method_cost",
    "methods",
    "metrics_speed",
    "million",
    "misses",
    "own_pictures",
    "query_truth",
    "recipe",
    "render",
    "same_results",
    "same_speed",
    "search_page",
    "soak",
    "stage",
    "starter",
    "starter_geometry",
    "text_encoding",
    "update",
)
NEED_NO_RESULT = {
    "cases",  # verdicts, no figures
    "clip_retrieval_peer",  # a server; http_search publishes its figures
    "learn_data features",
    "learn_data runs",
    "methods run",
    "recipe",  # the commands that it runs print their figures
    "render",
    "same_results",  # compares two checkouts; nothing to publish
    "same_speed",
    "starter analyse-gallery",
    "starter deepen",
    "starter pack-gallery",
    "starter enlarge",
    "starter make",
    "starter ship",
    "starter without-colours",
}


def app_of(script: str) -> typer.Typer:
    module = import_module(script)
    if hasattr(module, "app"):
        app: typer.Typer = module.app
        return app
    app = typer.Typer()
    app.command()(module.main)
    return app


def commands_of(script: str) -> dict[str, Any]:
    """The commands of a script by name."""
    command = typer.main.get_command(app_of(script))
    if isinstance(command, TyperGroup):
        return {f"{script} {name}": each for name, each in command.commands.items()}
    return {script: command}


def test_every_script_is_covered() -> None:
    folder = Path(import_module("render").__file__ or "").parent
    scripts = {path.stem for path in folder.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert scripts == {*SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_and_option_has_a_help_text(script: str) -> None:
    for name, command in commands_of(script).items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", ""), f"{name}: {parameter.name}"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_that_measures_can_write_a_result(script: str) -> None:
    for name, command in commands_of(script).items():
        if name in NEED_NO_RESULT:
            continue
        assert "results" in {parameter.name for parameter in command.params}, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "features", "--out", "{}"], "give it by --data"),
        (["run", "picturebook", "--out", "{}", "--row", "codr"], "Did you mean 'coder'?"),
        (["select", "picturebook", "--out", "{}", "--row", "codr"], "Did you mean 'coder'?"),
        (["run", "picturebook", "--out", "{}"], "`methods.py select picturebook` to its end first"),
        (["table", "picturebook", "--out", "{}"], "0, 0, 0 measured trainings"),
        (["table", "picturebook", "--out", "{}", "--against", "coder"], "name at least one"),
        (["table", "picturebook", "--out", "{}", "--row", "coder", "--results", "{}"], "writes all rows"),
    ],
)
def test_methods_says_what_is_wrong(arguments: list[str], message: str, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app_of("methods"), [each.format(tmp_path) for each in arguments])
    assert ran.exit_code == 2
    words = " ".join(ran.output.replace("│", " ").split())
    assert message in words
