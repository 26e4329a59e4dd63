"""Training pretrained towers on Flickr8k, on a stand-in of drawn pictures in the layout of the data."""

from pathlib import Path
from typing import Any

import flickr8k
import flickr8k_towers
import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value
from flickr8k_towers import BEFORE, main, settings_of
from method_rows import Row
from method_runs import Trainings
from method_settings import conditions
from results import Measurement, load
from safetensors.numpy import save_file

from itr_core import load_encoder, load_pairs
from itr_core.training.config import TrainConfig
from tests.encoders.test_towers import write_image_weights, write_sentence_encoder

TRAIN, DEV = 24, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA with a few pictures, their features and weights of the image tower, and MINILM."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "flickr8k").mkdir()
    (folder / "mobilenetv2_100").mkdir()
    layout = Features({"image": Image(), "image_id": Value("string"), "captions": List(Value("string"))})
    pairs = load_pairs(f"picturebook:train@{TRAIN + DEV}")
    random, arrays = np.random.default_rng(0), {}
    for name, rows in (("train", range(TRAIN)), ("dev", range(TRAIN, TRAIN + DEV))):
        columns = {
            "image": [pairs.image(row) for row in rows],
            "image_id": [f"{row}.jpg" for row in rows],
            "captions": [list(pairs.captions[row]) for row in rows],
        }
        Dataset.from_dict(columns, layout).to_parquet(folder / "flickr8k" / f"{name}.parquet")
        arrays[f"{name}_q"] = random.integers(0, 255, (len(rows), 1280), np.uint8)
        arrays[f"{name}_scale"] = np.full(1280, 0.02, np.float32)
    save_file(arrays, folder / "flickr8k" / "mobilenetv2_features.safetensors")
    write_image_weights(folder / "mobilenetv2_100" / "backbone.safetensors", "mobilenetv2_100")
    write_sentence_encoder(folder / "minilm")
    return folder


@pytest.mark.parametrize("part", ["heads", "text", "photo-heads", "photos"])
def test_every_part_has_settings_that_train_accepts(part: Any, folder: Path, tmp_path: Path) -> None:
    settings = settings_of(part, folder, folder / "minilm", tmp_path)
    del settings["out"]
    config = TrainConfig(**settings)
    assert config.joins_towers == (part not in BEFORE)
    assert (config.image_features is None) == (part == "photos")
    assert config.freeze_text == (part not in BEFORE)


def test_heads_then_text_are_trained_and_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flickr8k, "HELD_OUT", 4)
    small = {"max_steps": 3, "batch_size": 8, "device": "cpu", "progress": False, "precision": "fp32"}
    for name in ("HEADS", "TOWERS"):
        monkeypatch.setattr(flickr8k_towers, name, getattr(flickr8k_towers, name) | small)
    for held_out in (False, True):
        main("heads", folder, folder / "minilm", tmp_path, held_out=held_out, results=tmp_path)
    result = load("flickr8k_towers_heads", tmp_path)
    assert [*result.tables] == ["held_out"]
    main("text", folder, folder / "minilm", tmp_path, results=tmp_path)
    rsum = load("flickr8k_towers_text", tmp_path).tables["dev"].rows[0].cells["rsum"]
    assert isinstance(rsum, Measurement)
    assert 0 < rsum.value <= 600

    encoders = {
        name: load_encoder(str(tmp_path / name), device="cpu").model.state_dict()
        for name in ("heads", "text", "held-out/heads")
    }
    weight = "text.transformer.encoder.layer.0.output.dense.weight"
    assert (encoders["heads"][weight] == encoders["held-out/heads"][weight]).all()
    assert (encoders["heads"][weight] != encoders["text"][weight]).any()
    assert len(load_pairs(f"parquet:{tmp_path / 'held-out' / 'fit.parquet'}")) == TRAIN - 4


def test_the_comparison_of_methods_trains_both_towers_on_photos(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flickr8k, "HELD_OUT", 4)
    row = Row("infonce", settings={"max_steps": 2, "batch_size": 8, "precision": "fp32", "warmup": 0.0})
    trainings = Trainings("pixels", tmp_path)
    held_out = trainings.measure(row, 0, "validation", folder)
    assert len(held_out["rsum"]) == 4
    assert len(trainings.measure(row, 0, "reported", folder)["rsum"]) == DEV
    untrained, trained = (
        load_encoder(spec, device="cpu").model.state_dict()
        for spec in (
            conditions("pixels", folder, tmp_path).train["model"],
            f"local-dir:{trainings.folder(row, 0)}",
        )
    )
    changed = {name for name, value in trained.items() if not value.equal(untrained[name])}
    for tower in ("visual.trunk.", "text.transformer."):
        assert any(name.startswith(tower) for name in changed), tower
