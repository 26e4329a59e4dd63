"""Recipes: every command runs, on a drawn stand-in in the official layout and for few steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recipe import RECIPES, commands, main, recipe_names
from typer import Typer
from typer.testing import CliRunner

from itr_core.hashing import evaluate
from itr_core.hashing.codes import BinaryHead, train_codes
from tests.pairs.layouts import stand_ins
from ui.cli import app


def uni_modal(root: Path) -> None:
    for write in (stand_ins.cub, stand_ins.sop, stand_ins.inshop):
        write(root / write.__name__)
    sts = root / "senteval" / "STS" / "STSBenchmark" / "sts-test.csv"
    sts.parent.mkdir(parents=True)
    sts.write_text("".join(f"a\tb\t2012\t{row}\t{row}\ta dog {row}\ta cat\n" for row in range(3)))


DATA: dict[str, Callable[[Path], object]] = {
    "ascl-coco": stand_ins.precomp,
    "ascl-flickr30k": stand_ins.precomp,
    "coder-coco": stand_ins.precomp,
    "coder-flickr30k": stand_ins.precomp,
    "crcgs-coco": stand_ins.arrays,
    "crcgs-mirflickr": stand_ins.mirflickr,
    "crcgs-nuswide": stand_ins.nuswide,
    "cusa-coco": stand_ins.coco,
    "cusa-flickr30k": stand_ins.flickr30k,
    "cusa-uni-modal": uni_modal,
}
QUICK = "ascl-flickr30k"
SMALL = ["--max-steps", "2", "--batch-size", "8", "--vocab-size", "300", "--device", "cpu"]


def small(arguments: list[str], out: Path) -> list[str]:
    """Return a command for the stand-in: few steps, a tiny model, and nothing from the network."""
    for protocol in ("coco-1k", "eccv"):  # they need COCO's 5,000 test images
        if protocol in arguments:
            place = arguments.index(protocol)
            arguments = arguments[: place - 1] + arguments[place + 1 :]
    if arguments[0] == "train":
        tiny = ["--model", "tiny/none"] if "ViT-B-32/openai" in arguments else []
        teachers = ["--image-teacher", "features", "--text-teacher", "lsa"] if "cusa" in arguments else []
        queue = ["--options", "queue=4"] if "coder" in arguments else []
        return [*arguments, *SMALL, *tiny, *teachers, *queue]
    if not (out / "model").exists():
        return [word.replace(f"{out}/model", "tiny/none") for word in arguments]
    return arguments


@pytest.mark.usefixtures("configs")
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each == QUICK else pytest.mark.slow) for each in recipe_names()]
)
def test_a_recipe_runs_to_its_end_on_a_stand_in(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few_steps(*given: Any, **options: Any) -> BinaryHead:
        return train_codes(*given, **options, steps=2)

    monkeypatch.setattr(evaluate, "train_codes", few_steps)
    data, out = tmp_path / "data", tmp_path / "out"
    DATA[name](data)
    asked = commands(name, str(data), str(out))
    assert {arguments[0] for arguments in asked} & {"evaluate", "hash"}
    for arguments in asked:
        ran = CliRunner().invoke(app, small(arguments, out))
        assert ran.exit_code == 0, f"{arguments}\n{ran.output}\n{ran.stderr}"
    figures = "mAP@n_query" if "crcgs" in name else "R@1"
    assert figures in ran.stdout


def test_every_recipe_is_tested_and_says_what_to_expect() -> None:
    assert {*DATA} == {*recipe_names()}
    index = (RECIPES / "README.md").read_text(encoding="utf-8")
    for name in recipe_names():
        text = (RECIPES / f"{name}.md").read_text(encoding="utf-8")
        assert f"[{name}]({name}.md)" in index
        for part in ("**DATA**", "**Expected**", "## Published figures", "## Differences from the paper"):
            assert part in text, f"{name}: {part}"


def test_the_command_prints_the_commands_or_names_the_recipes(tmp_path: Path) -> None:
    script = Typer()
    script.command()(main)
    shown = CliRunner().invoke(script, ["crcgs-mirflickr", "D", str(tmp_path), "--print"]).stdout
    lines = shown.splitlines()
    assert [line.split()[:2] for line in lines] == [["pairscope", "train"], ["pairscope", "hash"]]
    assert "--queries mirflickr:D:query" in lines[1]
    assert "$" not in shown
    refused = CliRunner().invoke(script, ["crcgs", "D", "O"])
    assert "'crcgs' is no recipe; there are ascl-coco" in " ".join(refused.output.replace("│", " ").split())
