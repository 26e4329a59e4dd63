"""`pairscope report-card`."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from ui.cli import app


def report_card(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report-card", *map(str, arguments)])


def test_prints_json_and_writes_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "card.png"
    done = report_card("starter:infonce", "--questions", 2, "--json", "--out", picture)
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["model"] == "starter:infonce"
    assert [kind["kind"] for kind in printed["kinds"]][-1] == "objects"
    assert all(0 <= kind["low"] <= kind["accuracy"] <= kind["high"] <= 1 for kind in printed["kinds"])
    with Image.open(picture) as image:
        assert image.size == (1200, 630)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("starter:infonc",), "infonce"),
        (("starter:infonce", "--out", "card.jpg"), "--out card.jpg: the name of the picture must end in"),
        (("starter:infonce", "--questions", 0), "--questions"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[object, ...], message: str) -> None:
    done = report_card(*arguments)
    assert done.exit_code == 2
    assert message in done.output
