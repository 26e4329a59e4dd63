"""Training towers of one's own: frozen, by low-rank updates or in full, each with a rate of its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from itr_core import load_encoder, load_pairs, train
from itr_core.encoders.text_tower import TextTower
from itr_core.training import setup
from itr_core.training.config import TrainConfig
from itr_core.training.optimiser import parts_of
from tests.encoders.hub_cache import write_tokenizer
from tests.encoders.test_towers import SPECIAL, write_image_weights, write_text_encoder
from tests.training.runs import assert_same, log, settings, weights

WORDS = ["a", "sky", "over", "ground", "land", "land,", "above", "flat", "low", "high", "mountainous"]
COLOURS = ["red", "green", "blue", "yellow"]
SEED = 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("towers")
    write_image_weights(folder / "image.safetensors")
    write_text_encoder(folder / "text")
    write_tokenizer(folder / "text", [*WORDS, *COLOURS], special=SPECIAL, template="[CLS] $A [SEP]")
    return f"towers:timm:test_efficientnet@{folder / 'image.safetensors'}+hf:{folder / 'text'},dim=16,size=32"


def run(model: str, world: Path, out: Path, **changes: Any) -> Path:
    options = {"method": "infonce", "model": model, "vocab_size": 0, "seed": SEED} | changes
    return train(source=f"folder:{world}", out=out, **settings(**options))


def changed_parts(model: str, out: Path) -> set[str]:
    """The parts of the model of which a run trained any weight; it also scales the text projection."""
    start = load_encoder(model, device="cpu", seed=SEED)
    parts, before, after = parts_of(start), dict(start.model.named_parameters()), weights(out)
    names = before.keys() - {"text.proj.weight"}
    return {parts[name] for name in names if not torch.equal(before[name], after[name])}


def test_a_run_learns_and_its_checkpoint_can_be_searched(model: str, world: Path, tmp_path: Path) -> None:
    out = run(
        model,
        world,
        tmp_path / "out",
        max_steps=60,
        validation=f"folder:{world}",
        eval_every=30,
        text_lr_factor=1.0,
    )
    rsum = [entry["rsum"] for entry in log(out) if "rsum" in entry]
    assert rsum[-1] > 1.5 * rsum[0]
    assert load_encoder(str(out), device="cpu").encode_texts(["a red sky"]).shape == (1, 16)


@pytest.mark.parametrize(
    ("frozen", "trained"),
    [
        ({"freeze_image": True}, {"text", "joint"}),  # as in LiT
        ({"freeze_text": True}, {"image", "joint"}),
        ({"freeze_image": True, "freeze_text": True}, {"joint"}),
        ({"image_features": "cache", "freeze_text": True}, {"joint"}),
        ({"lora": 2}, {"text", "joint"}),  # this image tower has no linear layer
        ({"lora": 2, "freeze_image": True}, {"text", "joint"}),
    ],
)
def test_a_frozen_tower_stays_as_it_was(
    frozen: dict[str, Any], trained: set[str], model: str, world: Path, tmp_path: Path
) -> None:
    out = run(model, world, tmp_path / "out", **frozen)
    assert changed_parts(model, out) == trained


def test_a_run_says_which_tower_low_rank_updates_leave_as_it_was(
    model: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(model, world, tmp_path / "out", lora=2, progress=True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "image tower not trained, because it has no linear or attention layer for lora" in printed


def test_low_rank_updates_leave_the_projections_free(model: str, world: Path, tmp_path: Path) -> None:
    out = run(model, world, tmp_path / "out", lora=1)
    start, after = load_encoder(model, device="cpu", seed=SEED).model.state_dict(), weights(out)
    ranks = {
        name: int(torch.linalg.matrix_rank(after[name] - start[name], atol=1e-6))
        for name in ("visual.head.proj.weight", "text.transformer.encoder.layer.0.output.dense.weight")
    }
    assert ranks["visual.head.proj.weight"] > 1
    assert ranks["text.transformer.encoder.layer.0.output.dense.weight"] == 1


def test_the_default_rates_are_high_for_the_projections_only() -> None:
    spec = "towers:timm:vit_base_patch16_224+hf:some/encoder"
    rates = [TrainConfig("infonce", "folder:x", spec, **changes).rates() for changes in ({}, {"lora": 4})]
    assert rates == [(1e-3, 0.01, 0.05), (1e-3, 0.1, 0.1)]
    own = TrainConfig("infonce", "folder:x", spec, lr=2e-3, text_lr_factor=0.02)
    assert own.rates() == (2e-3, 1.0, 0.02)


def test_a_frozen_text_tower_encodes_each_caption_once(
    model: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[tuple[int, ...]] = []
    features = TextTower.features

    def count(self: TextTower, ids: torch.Tensor) -> torch.Tensor:
        encoded.extend(map(tuple, ids.tolist()))
        return features(self, ids)

    monkeypatch.setattr(TextTower, "features", count)
    monkeypatch.setattr(setup, "scale_text_projection", lambda *_: None)  # encodes a sample before
    validation = {"validation": f"folder:{world}", "eval_every": 4}  # of the same captions
    run(model, world, tmp_path / "out", freeze_text=True, max_steps=12, **validation)
    assert len(encoded) == len({*encoded}) > 40


def test_the_outputs_that_are_kept_change_no_weight(
    model: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = run(model, world, tmp_path / "kept", freeze_text=True, word_dropout=0.2)
    monkeypatch.setattr(TextTower, "keep_outputs", lambda self: None)
    plain = run(model, world, tmp_path / "plain", freeze_text=True, word_dropout=0.2)
    one, other = weights(kept), weights(plain)
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=1e-4)


def test_a_run_resumes_exactly(model: str, world: Path, tmp_path: Path) -> None:
    options = {"max_steps": 8, "save_every": 4, "lora": 2}
    unbroken = run(model, world, tmp_path / "unbroken", **options)
    stopped = run(model, world, tmp_path / "stopped", **options)
    (stopped / "state.previous.safetensors").replace(stopped / "state.safetensors")
    run(model, world, stopped, **options, resume=True)
    assert_same(weights(unbroken), weights(stopped))
    assert_same(load_file(unbroken / "state.safetensors"), load_file(stopped / "state.safetensors"))


def test_the_new_projection_maps_the_mean_feature_to_zero(model: str, world: Path, tmp_path: Path) -> None:
    pairs = load_pairs(f"folder:{world}")
    for kind in ("linear", "mlp"):
        options = {"image_features": "cache", "max_steps": 1, "lr": 1e-9}
        out = run(f"{model},image={kind}", world, tmp_path / kind, **options)
        encoder = load_encoder(str(out), device="cpu")
        mean = torch.from_numpy(encoder.image_features(map(pairs.image, range(len(pairs)))).mean(0))
        head: Any = encoder.model.visual.head
        first = head.proj if kind == "linear" else head.mlp.fc1
        with torch.inference_mode():
            torch.testing.assert_close(first(mean), torch.zeros(first.out_features), atol=1e-4, rtol=0)


def test_the_new_text_projection_starts_at_unit_variance(model: str, world: Path, tmp_path: Path) -> None:
    start = load_encoder(model, device="cpu", seed=SEED)
    texts = [text for texts in load_pairs(f"folder:{world}").captions for text in texts]
    with torch.inference_mode():
        features = start.text_tower.features(start.tokenizer(texts))
    out = run(model, world, tmp_path / "out", max_steps=1, lr=1e-9)
    before, after = start.model.text.proj.weight, weights(out)["text.proj.weight"]
    torch.testing.assert_close(after * features.std(), before.detach(), atol=1e-3, rtol=1e-2)


def test_a_method_that_needs_word_and_patch_tokens_trains_them(
    model: str, world: Path, tmp_path: Path
) -> None:
    out = run(model, world, tmp_path / "out", method="ascl", max_steps=2)
    encoder = load_encoder(str(out), device="cpu")
    _, words, mask = encoder.encode_texts(["a red sky", "green land"], tokens=True)
    assert words.shape[2] == 16
    assert mask.sum(1).tolist() == [3, 2]  # neither [CLS] and [SEP] nor padding
