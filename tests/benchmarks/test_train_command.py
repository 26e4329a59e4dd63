"""The `pairscope train` commands in model cards and results train what they stand for."""

import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
from method_rows import CANDIDATES, ROWS, row_of
from method_settings import Setting, conditions
from method_tables import commands
from train_command import train_command
from typer.testing import CliRunner

import itr_core.training
from itr_core.training.config import TrainConfig
from ui.cli import app


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of every call of `train`, which does nothing."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(itr_core.training, "train", lambda **arguments: calls.append(arguments))
    return calls


def parsed(command: str, trained: list[dict[str, Any]]) -> tuple[TrainConfig, Path]:
    """Run a command; return the configuration and the folder that it would train with."""
    program, *arguments = shlex.split(command)
    assert program == "pairscope"
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    settings = trained.pop()
    out = settings.pop("out")
    assert not settings.pop("resume")
    return TrainConfig(**settings), out


@pytest.mark.parametrize("setting", get_args(Setting))
@pytest.mark.parametrize("name", [*ROWS])
def test_the_command_of_a_row_trains_it_with_its_first_seed(
    setting: Setting, name: str, trained: list[dict[str, Any]]
) -> None:
    choices = {method: candidates[1] for method, candidates in CANDIDATES.items()}
    row = row_of(name, choices)
    shared = conditions(setting, Path("DATA"), Path("runs/methods") / setting / "data").train
    expected = {**shared, **row.settings, "options": row.options, "seed": row.first_seed}
    command = commands(setting, name, choices)[-1]
    assert parsed(command, trained)[0] == TrainConfig(row.method, **expected)


def test_defaults_are_left_out_and_lists_switches_and_options_written_out(
    trained: list[dict[str, Any]],
) -> None:
    config = TrainConfig(
        method="cusa",
        source="folder:my photos",
        model="x",
        options={"con_reduction": "mean_all", "beta": 0.5, "soft": True},
        flip=True,
        cache_images=False,
        trackers=("trackio", "tensorboard"),
    )
    command = train_command(config.as_json(), "runs/a b")
    assert "--lr" not in command
    assert "--flip --no-cache-images" in command
    assert parsed(command, trained) == (config, Path("runs/a b"))


def test_a_row_is_trained_together_with_its_baseline() -> None:
    select, run, table, *_ = commands("features", "crcgs, L_o alone", {})
    assert select.endswith("select features --out runs/methods --data DATA")
    assert run.endswith("run features --out runs/methods --data DATA --row infonce --row 'crcgs, L_o alone'")
    assert table.endswith("table features --out runs/methods --row 'crcgs, L_o alone'")
    assert commands("picturebook", "infonce", {})[1].endswith("--out runs/methods --row infonce")
