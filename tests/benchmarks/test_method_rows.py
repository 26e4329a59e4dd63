"""benchmarks/method_rows.py: what the comparison of methods trains can be trained."""

import runpy
from pathlib import Path

import pytest

from itr_core.methods import make_method
from itr_core.training.config import TrainConfig

ROWS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "method_rows.py"))


@pytest.mark.parametrize("setting", ["picturebook", "flickr8k"])
def test_every_row_has_a_method_that_takes_its_options_and_a_row_to_be_held_against(setting: str) -> None:
    for name, row in ROWS["ROWS"].items():
        assert row.against in ROWS["ROWS"]
        if row.method:
            chosen = ROWS["chosen"](setting, name)
            assert chosen.options.items() >= row.options.items()
            make_method(row.method, chosen.options)
            TrainConfig(row.method, "picturebook:train", "x", **{"batch_size": 64} | row.settings)


def test_every_choice_was_a_candidate_and_every_candidate_can_be_trained() -> None:
    for method, candidates in ROWS["CANDIDATES"].items():
        for options in candidates:
            make_method(method, options)
        for choices in ROWS["CHOSEN"].values():
            assert choices.get(method, {}) in candidates
