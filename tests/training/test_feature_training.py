"""Training with a frozen image trunk, on features that are computed once or read from a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file
from typer.testing import CliRunner

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import ModelError, SourceError
from itr_core.evaluation import evaluate
from itr_core.features.image_rows import StoredImages, cached_features, cached_pixels
from itr_core.metrics import retrieval_metrics
from itr_core.pairs import load_pairs
from itr_core.training import train
from tests.pairs.layouts.stand_ins import precomp
from tests.support import present
from tests.training.runs import WEIGHTS, log, settings, weights
from ui.cli import app

pytestmark = pytest.mark.usefixtures("configs")


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_cached_features_train_the_projection_and_the_text_tower_only(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    start = tmp_path / "start"
    train("infonce", source, out=start, **settings(max_steps=1, lr=1e-9))
    options = settings(model=str(start), max_steps=20)
    out = train("infonce", source, out=tmp_path / "cache", image_features="cache", **options)
    before, after = weights(start), weights(out)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in moved if name.startswith("visual.")} == {"visual.proj"}
    assert {"text_projection", "token_embedding.weight", "logit_scale"} <= moved

    pixels = train("infonce", source, out=tmp_path / "pixels", freeze_image=True, **options)
    for name, value in weights(pixels).items():
        torch.testing.assert_close(value, after[name], atol=2e-3, rtol=0)

    features = load_encoder(str(start)).image_features(load_pairs(source).image(i) for i in range(64))
    scale = features.max(0) / 255
    quantised = {"train_q": np.clip(features / scale, 0, 255).round().astype(np.uint8), "train_scale": scale}
    save_file(quantised | {"exact": features}, tmp_path / "f.safetensors")
    spec = f"{tmp_path / 'f.safetensors'}:exact"
    file = train("infonce", source, out=tmp_path / "file", image_features=spec, **options)
    for name, value in weights(file).items():
        torch.testing.assert_close(value, after[name], atol=2e-3, rtol=0)

    spec = f"{tmp_path / 'f.safetensors'}:train"
    stored = train("infonce", source, out=tmp_path / "q", image_features=spec, validation_features=spec,
                   validation=source, **options)  # fmt: skip
    assert log(stored)[-1]["rsum"] > 60
    with pytest.raises(SourceError, match=r"no features 'tain'. Did you mean 'train'"):
        train("infonce", source, out=tmp_path / "bad", image_features=spec[:-5] + "tain", **options)
    with pytest.raises(SourceError, match=r"shape \(64, 32\); the source has 9 images"):
        train("infonce", source, out=tmp_path / "few", image_features=spec, limit=9, **options)


def test_region_features_of_a_source_train_and_are_evaluated(tmp_path: Path) -> None:
    spec = f"precomp:{precomp(tmp_path / 'data')}"
    options = settings(model="features-2048/none", max_steps=2, batch_size=4)
    with pytest.raises(SourceError, match=r"features in the place of images; .* --image-features source"):
        train("ascl", f"{spec}:train", out=tmp_path / "bad", **options)
    options |= {"image_features": "source"}
    out = train("ascl", f"{spec}:train", validation=f"{spec}:dev", out=tmp_path / "out", **options)
    encoder, pairs = load_encoder(str(out)), load_pairs(f"{spec}:pooled")
    result = evaluate(encoder, pairs)
    features = present(pairs.image_features)
    images = encoder.project(torch.tensor(np.array(features))).detach().numpy()
    texts = encoder.encode_texts(pairs.flat_captions()[0])
    expected = retrieval_metrics(unit(images) @ texts.T, pairs.flat_captions()[1])
    assert result["rsum"] == pytest.approx(expected["rsum"])
    assert result == evaluate(encoder, pairs, np.array(features))
    regions = torch.rand(2, 3, 2048)
    given = encoder(text=encoder.tokenizer(["a", "b"]), image_features=regions, tokens=True)
    torch.testing.assert_close(given.image, encoder.project(regions.mean(1)))
    torch.testing.assert_close(given.image_tokens[:, 1], encoder.project(regions[:, 1]))

    with pytest.raises(ModelError, match="no network for images"):
        encoder.encode_images([Image.new("RGB", (8, 8))])
    with pytest.raises(ModelError, match=r"features of 2048 numbers, but tiny/none takes features of 32"):
        evaluate(load_encoder("tiny/none"), pairs)
    with pytest.raises(SourceError, match="has images, no features"):
        train("infonce", "picturebook:train@8", out=tmp_path / "none", **options)


def test_the_command_evaluates_features_of_a_file(world: Path, tmp_path: Path) -> None:
    pairs, encoder = load_pairs(f"folder:{world}"), load_encoder("tiny/none")
    features = encoder.image_features(pairs.image(row) for row in range(64))
    np.save(tmp_path / "f.npy", features)
    np.save(tmp_path / "few.npy", features[:3])
    asked = ["evaluate", "--model", "tiny/none", "--source", f"folder:{world}", "--json", "--image-features"]
    result = CliRunner().invoke(app, [*asked, f"{tmp_path}/f.npy"])
    assert json.loads(result.stdout)["rsum"] == pytest.approx(evaluate(encoder, pairs)["rsum"], abs=2)
    few = CliRunner().invoke(app, [*asked, f"{tmp_path}/few.npy"])
    assert "has shape (3, 32); the source has 64 images" in " ".join(few.stderr.split())
    none = CliRunner().invoke(app, [*asked, f"{tmp_path}/none.npy"])
    assert "not a NumPy array of numbers" in " ".join(none.stderr.split())


@pytest.mark.parametrize("shape", [(2,), (3, 2)], ids=["images", "regions"])
def test_features_that_are_not_finite_are_named(shape: tuple[int, ...]) -> None:
    values = np.zeros((5, *shape), np.float32)
    values[3, ..., 1] = np.nan
    images = StoredImages(values, {})
    assert len(images.read(np.array([0, 4, 2]))[0]) == 3
    with pytest.raises(SourceError, match=r"The features of row 3 .* not all finite numbers\. Compute"):
        images.read(np.array([0, 3]))


def test_a_new_projection_with_a_bias_maps_the_mean_feature_to_zero(
    configs: Path, world: Path, tmp_path: Path
) -> None:
    biased = json.loads((configs / "tiny-conv.json").read_text())
    biased["vision_cfg"]["timm_proj_bias"] = True
    (configs / "tiny-biased.json").write_text(json.dumps(biased))
    open_clip.add_model_config(configs / "tiny-biased.json")
    features = 3 + np.random.default_rng(0).random((64, 256), np.float32)
    save_file({"made": features}, tmp_path / "f.safetensors")

    def embedded_mean(name: str, **changes: Any) -> np.ndarray:
        spec = f"{tmp_path / 'f.safetensors'}:made"
        out = train("infonce", f"folder:{world}", out=tmp_path / name, image_features=spec,
                    **settings(max_steps=1, lr=1e-9) | changes)  # fmt: skip
        head = load_file(out / WEIGHTS)
        return (
            features.mean(0) @ head["visual.head.proj.weight"].numpy().T
            + head["visual.head.proj.bias"].numpy()
        )

    np.testing.assert_allclose(embedded_mean("fresh", model="tiny-biased/none"), 0, atol=1e-3)
    moved = embedded_mean("moved", model="tiny-biased/none", lr=0.1)
    assert np.abs(moved).max() > 0.1
    further = embedded_mean("further", model=str(tmp_path / "moved"))
    np.testing.assert_allclose(further, moved, atol=1e-3)  # a trained bias is not changed


def test_an_attention_pooled_tower_trains_on_pixels_and_on_cached_features(
    world: Path, tmp_path: Path
) -> None:
    source = f"folder:{world}"
    start = train(
        "infonce", source, out=tmp_path / "start", **settings(model="tiny-resnet/none", max_steps=2)
    )
    out = train(
        "infonce", source, out=tmp_path / "cache", image_features="cache",
        **settings(model=str(start), max_steps=2),
    )  # fmt: skip
    before, after = weights(start), weights(out)
    moved = {name for name in before if name.startswith("visual.") and not before[name].equal(after[name])}
    assert moved == {"visual.attnpool.c_proj.weight", "visual.attnpool.c_proj.bias"}


def test_pixel_and_feature_caches_contain_what_the_encoder_computes(world: Path) -> None:
    encoder, pairs = load_encoder("tiny/none"), load_pairs(f"folder:{world}")
    pixels, _ = cached_pixels(pairs, encoder, workers=2, progress=False).read(np.array([5, 3]))
    for value, row in zip(pixels, (5, 3), strict=True):
        normalise = encoder.preprocess.transforms[-1]
        torch.testing.assert_close(normalise(value / 255), encoder.preprocess(pairs.image(row)))
    features, _ = cached_features(pairs, encoder, workers=0, progress=False).read(np.arange(64))
    expected = encoder.image_features(pairs.image(i) for i in range(64))
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)
