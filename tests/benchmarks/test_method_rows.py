"""The rows and options of the comparison of methods: every one can be trained as declared."""

from pathlib import Path
from typing import get_args

import pytest
from method_rows import CANDIDATES, COMPARISONS, EQUAL_TEXTS, MAIN, ROWS, Row, row_of
from method_settings import Setting, conditions

from itr_core.methods import make_method
from itr_core.training.config import TrainConfig

SETTINGS = get_args(Setting)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("which", range(3))
def test_every_row_can_be_trained_whichever_candidates_are_chosen(setting: Setting, which: int) -> None:
    choices = {method: candidates[which] for method, candidates in CANDIDATES.items()}
    shared = conditions(setting, Path("data"), Path("out")).train
    for name, declared in ROWS.items():
        row = row_of(name, choices)
        assert declared.against in ROWS
        assert row.options.items() >= {**choices[row.method].options, **declared.options}.items()
        make_method(row.method, row.options)
        TrainConfig(row.method, **{**shared, **row.settings})


def test_every_method_has_as_many_different_candidates() -> None:
    assert {len(candidates) for candidates in CANDIDATES.values()} == {3}
    for method, candidates in CANDIDATES.items():
        assert len({candidate.title for candidate in candidates}) == 3
        for candidate in candidates:
            assert candidate.method == method
            make_method(method, candidate.upon(Row(method)).options)


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_split_that_is_reported_chooses_anything(setting: Setting) -> None:
    found = conditions(setting, Path("data"), Path("out"))
    assert not [name for name in found.train if "validation" in name]
    sources = [found.train["source"], *(source.pairs for source in found.measured.values())]
    assert len({*sources}) == 3
    features = [source.features for source in found.measured.values()]
    assert features[0] is None or features[0] != features[1]


def test_groups_and_comparisons_name_rows_that_exist() -> None:
    assert {*MAIN, *(row for pair in COMPARISONS for row in pair[:2])} <= ROWS.keys()


@pytest.mark.parametrize("setting", SETTINGS)
def test_beside_ascl_stands_infonce_with_as_many_texts(setting: Setting) -> None:
    assert MAIN[MAIN.index("ascl") - 1] == EQUAL_TEXTS
    captions = conditions(setting, Path("data"), Path("out")).train["captions_per_image"]
    assert ROWS[EQUAL_TEXTS].method == "infonce"
    assert ROWS[EQUAL_TEXTS].settings == {"captions_per_image": 2 * captions}


def test_a_row_keeps_what_it_declares_and_takes_the_rest_from_the_choice() -> None:
    choice = Row("coder", {"queue": 8, "lambda_c": 0.1}, {"temperature": 0.07, "batch_size": 9})
    row = Row("coder", {"queue": 0}, {"batch_size": 4}, against="coder").upon(choice)
    assert row.options == {"lambda_s": 0.0, "queue": 0, "lambda_c": 0.1}
    assert row.settings == {"temperature": 0.07, "batch_size": 4}
    assert row.against == "coder"
