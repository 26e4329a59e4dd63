"""What the comparison of methods measures of a model."""

from functools import partial

import method_metrics
import numpy as np
import pytest

from itr_core.hashing.codes import train_codes


def test_codes_of_embeddings_that_are_the_labels_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_metrics, "train_codes", partial(train_codes, steps=60))
    labels = np.eye(4, dtype=bool)[np.random.default_rng(0).integers(4, size=60)]  # (n, C)
    image_of_caption = np.repeat(np.arange(60), 2)
    units = labels.astype(np.float32)
    found = method_metrics._code_precision(units, units[image_of_caption], image_of_caption, labels)
    asked = np.arange(60) % 5 == 0
    np.testing.assert_array_equal(found["i2t_code_map"][asked], 100)
    np.testing.assert_array_equal(found["t2i_code_map"][asked[image_of_caption]], 100)
    assert np.isnan(found["i2t_code_map"][~asked]).all()
    assert np.isnan(found["t2i_code_map"][~asked[image_of_caption]]).all()
    mixed = method_metrics._code_precision(
        units, np.roll(units, 7, axis=0)[image_of_caption], image_of_caption, labels
    )
    assert np.nanmean(mixed["t2i_code_map"]) < 95
