"""Figures of the model cards."""

import pytest

from itr_core.encoders.loading import starters
from itr_core.encoders.model_cards import card_figures


@pytest.mark.parametrize("spec", starters())
def test_the_card_of_every_starter_has_figures(spec: str) -> None:
    figures = card_figures(spec)
    assert 0 < figures["t2i_r1"] <= figures["t2i_r5"] <= 100
    assert 0 < figures["rsum"] <= 600


@pytest.mark.parametrize("spec", ["starter:../..", "starter:none", "ViT-B-32/openai", ""])
def test_other_models_have_no_figures(spec: str) -> None:
    assert card_figures(spec) == {}
