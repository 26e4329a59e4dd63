"""The rows and options of the comparison of methods: every one can be trained as declared."""

from typing import get_args

import pytest
from method_rows import (
    ALL_ROWS,
    CANDIDATES,
    CHOSEN,
    COMPARISONS,
    FROM_PIXELS,
    ROWS,
    Setting,
    chosen,
    main_rows,
)
from method_tables import train_settings

from itr_core.methods import make_method
from itr_core.training.config import TrainConfig


@pytest.mark.parametrize("setting", get_args(Setting))
def test_every_row_has_a_baseline_and_a_method_that_takes_its_options(setting: Setting) -> None:
    for name, row in ROWS.items():
        assert row.against in ROWS
        if row.method:
            options = chosen(setting, name).options
            assert options.items() >= row.options.items()
            make_method(row.method, options)
            settings = {"batch_size": 64} | row.settings
            TrainConfig(method=row.method, source="picturebook:train", model="x", **settings)


def test_every_choice_was_a_candidate_and_every_candidate_can_be_trained() -> None:
    for method, candidates in CANDIDATES.items():
        for options in candidates:
            make_method(method, options)
        for choices in CHOSEN.values():
            assert choices.get(method, {}) in candidates


def test_groups_and_comparisons_name_rows_that_exist() -> None:
    main = {name for setting in get_args(Setting) for name in main_rows(setting)}
    named = {*main, *FROM_PIXELS, *(row for pair in COMPARISONS for row in pair[:2])}
    assert named <= {*ALL_ROWS}


@pytest.mark.parametrize("setting", get_args(Setting))
def test_beside_ascl_stands_infonce_with_as_many_texts(setting: Setting) -> None:
    rows = main_rows(setting)
    control = ROWS[rows[rows.index("ascl") - 1]]
    captions = int(str(train_settings(setting, None).get("captions_per_image", 1)))
    assert control.method == "infonce"
    assert control.settings == {"captions_per_image": 2 * captions}
