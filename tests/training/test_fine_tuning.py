"""Training weights that exist: rates, frozen towers, low-rank updates, warnings when they are destroyed."""

import copy
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.utils import parametrize

from itr_core import DualEncoder, load_encoder
from itr_core.encoders.text_tower import TextTower
from itr_core.errors import ModelError, PairscopeError, SourceError
from itr_core.pairs import PairSet
from itr_core.training import train
from itr_core.training.collapse import CollapseWatch
from itr_core.training.lora import add_low_rank_updates, merged_weights
from itr_core.training.optimiser import parts_of
from tests.training.runs import WEIGHTS, assert_same, log, settings, weights

pytestmark = pytest.mark.usefixtures("configs")


@pytest.fixture(scope="module")
def trained(configs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the little world well."""
    out = tmp_path_factory.mktemp("trained") / "out"
    return train("infonce", f"folder:{world}", out=out, **settings(max_steps=150))


def fine_tune(trained: Path, world: Path, out: Path, **changes: Any) -> Path:
    method = changes.pop("method", "infonce")
    options = settings(**{"model": str(trained), "max_steps": 20, "lr": None, "vocab_size": 0} | changes)
    return train(method, f"folder:{world}", out=out, **options)


def changed(one: Path, other: Path) -> set[str]:
    before, after = weights(one), weights(other)
    return {name for name in before if not torch.equal(before[name], after[name])}


# ---- rates


def test_the_default_rate_keeps_what_the_model_could_before(
    trained: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validation = {"validation": f"folder:{world}", "eval_every": 10}
    kept = fine_tune(trained, world, tmp_path / "kept", **validation, progress=True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Learning rate 1e-05, image tower 5e-06, text tower 5e-06." in printed
    rsum = {entry["step"]: entry["rsum"] for entry in log(kept) if "rsum" in entry}
    assert f"Before training, the validation rSum is {rsum[0]:.1f}." in printed
    assert rsum.keys() == {0, 10, 20}
    assert rsum[20] > 0.98 * rsum[0] > 300
    assert not [entry for entry in log(kept) if "warning" in entry]

    destroyed = fine_tune(trained, world, tmp_path / "destroyed", **validation, lr=0.1, warmup=0.0)
    warnings = [entry["warning"] for entry in log(destroyed) if "warning" in entry]
    assert len(warnings) == 1
    assert "destroys what" in warnings[0]
    assert "lower --lr (now 0.1)" in warnings[0]
    assert changed(trained, destroyed) == set()  # the best weights are those before training


def test_collapse_is_reported_once() -> None:
    watch = CollapseWatch({}, "some model")
    watch.add_validation(400.0)
    watch.add_loss(0.5)
    assert watch.warning(10, 0.1) is None
    watch.add_loss(0.7)
    watch.add_validation(365.0)
    assert watch.warning(20, 0.1) is None
    watch.add_loss(0.9)
    assert "The loss rose from 0.500 in the first step to 0.900 at step 30" in str(watch.warning(30, 0.1))
    resumed = CollapseWatch(watch.start, "some model")
    resumed.add_loss(3.0)
    assert resumed.warning(40, 0.1) is None

    falling = CollapseWatch({}, "some model")
    falling.add_validation(400.0)
    falling.add_loss(0.5)
    falling.add_validation(359.0)
    assert "rSum fell from 400.0 before training to 359.0" in str(falling.warning(10, 0.1))


# ---- frozen towers


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_frozen_tower_keeps_all_but_its_projection(
    trained: Path, world: Path, tmp_path: Path, tower: str
) -> None:
    out = fine_tune(trained, world, tmp_path / "out", **{f"freeze_{tower}": True, "lr": 1e-3})
    parts = parts_of(load_encoder(str(trained), device="cpu"))
    found = {parts[name] for name in changed(trained, out)}
    assert found == {"image", "text", "joint"} - {tower}


# ---- low-rank updates


def test_only_the_updates_are_trained_and_plain_open_clip_loads_the_sum(
    trained: Path, world: Path, tmp_path: Path
) -> None:
    out = fine_tune(trained, world, tmp_path / "out", lora=2, lr=3e-3)
    before, after = weights(trained), weights(out)
    assert before.keys() == after.keys()
    names = changed(trained, out)
    for part in ("visual.transformer.resblocks.0.", "transformer.resblocks.1."):
        for layer in ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"):
            assert part + layer in names
            assert torch.linalg.matrix_rank(after[part + layer] - before[part + layer], atol=1e-5) <= 2
    assert {name for name in names if not name.endswith("weight")} == {"logit_scale"}
    assert log(out)[-1]["lr"] < 3e-3

    plain, _ = open_clip.create_model_from_pretrained(f"local-dir:{out}")
    assert_same(dict(plain.state_dict()), after)


def test_low_rank_updates_resume_exactly(trained: Path, world: Path, tmp_path: Path) -> None:
    options = {"lora": 2, "max_steps": 12, "save_every": 6, "validation": f"folder:{world}", "eval_every": 6}
    unbroken = fine_tune(trained, world, tmp_path / "unbroken", **options)
    stopped = tmp_path / "stopped"
    fine_tune(trained, world, stopped, **options)
    (stopped / "state.previous.safetensors").replace(stopped / "state.safetensors")  # that of step 6
    fine_tune(trained, world, stopped, **options, resume=True)
    assert_same(weights(unbroken / "last"), weights(stopped / "last"))
    assert_same(weights(unbroken), weights(stopped))
    assert_same(load_file(unbroken / "state.safetensors"), load_file(stopped / "state.safetensors"))


@pytest.fixture
def encoder(trained: Path) -> DualEncoder:
    return load_encoder(str(trained), device="cpu")


def test_updates_act_in_every_path_and_merging_changes_no_embedding(encoder: DualEncoder) -> None:
    plain = copy.deepcopy(encoder.model)
    add_low_rank_updates(encoder, 3, {"image", "text"}, seed=0)
    pixels, ids = torch.randn(2, 3, 32, 32), encoder.tokenizer(["a red sky", "low green land"])
    torch.testing.assert_close(encoder.model.encode_image(pixels), plain.encode_image(pixels))
    for module in encoder.model.modules():
        if parametrize.is_parametrized(module):
            for name in module.parametrizations:
                torch.nn.init.normal_(module.parametrizations[name][0].B, std=0.02)
    image, text = encoder.model.encode_image(pixels), encoder.embed_text(ids)
    assert not torch.allclose(image, plain.encode_image(pixels))
    assert not torch.allclose(text, plain.encode_text(ids))
    torch.testing.assert_close(text, encoder.model.encode_text(ids))
    plain.load_state_dict(merged_weights(encoder.model))
    torch.testing.assert_close(plain.encode_image(pixels), image)
    torch.testing.assert_close(plain.encode_text(ids), text)
    assert_same(merged_weights(plain), dict(plain.state_dict()))


def test_updates_without_a_tower_to_train_are_refused(encoder: DualEncoder) -> None:
    with pytest.raises(ModelError, match="no linear or attention layer"):
        add_low_rank_updates(encoder, 3, set(), seed=0)


# ---- gradient checkpointing


def test_gradient_checkpointing_keeps_fewer_activations_and_changes_no_gradient(encoder: DualEncoder) -> None:
    pixels, ids = torch.randn(4, 3, 32, 32), encoder.tokenizer(["a red sky over land"] * 4)
    found = []
    for again in (False, True):
        encoder.model.set_grad_checkpointing(again)
        encoder.train()
        kept: list[int] = []

        def keep(value: torch.Tensor, kept: list[int] = kept) -> torch.Tensor:
            kept.append(value.numel())
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            out = encoder(pixels, ids)
        encoder.zero_grad()
        (out.image.square().sum() + out.text.square().sum()).backward()
        gradients = [weight.grad.clone() for weight in encoder.parameters() if weight.grad is not None]
        found.append((sum(kept), gradients))
    assert found[1][0] < found[0][0] / 2
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other)
    assert isinstance(encoder.text_tower, TextTower)


def test_training_with_gradient_checkpointing_gives_the_same_weights(
    trained: Path, world: Path, tmp_path: Path
) -> None:
    options = {"max_steps": 3, "lr": 1e-3}
    one = fine_tune(trained, world, tmp_path / "one", **options)
    other = fine_tune(trained, world, tmp_path / "other", **options, gradient_checkpointing=True)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, weights(other)[name], msg=name)


# ---- checked before the first step


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"validation": "bare"}, SourceError, r"validation source folder:.* has no captions"),
        ({"triples": "nowhere.tsv"}, SourceError, r"triples='nowhere\.tsv': no such file"),
        ({"method": "crcgs", "labels": "source"}, SourceError, "has no labels"),
        ({"method": "cusa", "image_teacher": "tim:vit"}, ModelError, "Did you mean 'timm'"),
        ({"method": "cusa", "image_teacher": "timm:vit@no.safetensors"}, ModelError, "file 'no.safetensors'"),
        ({"method": "cusa", "text_teacher": "precomputed:no.safetensors:x"}, ModelError, "no such file"),
        ({"validation": "unreadable"}, SourceError, "no image with a caption that can be used"),
    ],
)
def test_a_mistake_is_named_before_any_training_image_is_read(
    trained: Path,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "0.png").write_bytes((world / "00.png").read_bytes())
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "0.png").write_bytes((world / "00.png").read_bytes()[:60])
    (tmp_path / "unreadable" / "metadata.jsonl").write_text('{"file_name": "0.png", "captions": ["a"]}')
    if "validation" in change:
        change = {"validation": f"folder:{tmp_path / change['validation']}"}
    read = PairSet.image

    def image(pairs: PairSet, row: int) -> Image.Image:
        assert str(world) not in pairs.source
        return read(pairs, row)

    monkeypatch.setattr(PairSet, "image", image)
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(error, match=message):
        fine_tune(trained, world, tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written_is_named_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PairscopeError, match=r"Cannot write to .*run: .*file is a file"):
        train("infonce", "folder:/nowhere", out=tmp_path / "file" / "run", **settings())


def test_weights_are_readable_by_everybody_that_the_umask_allows(trained: Path) -> None:
    expected = (trained / "open_clip_config.json").stat().st_mode
    for name in (WEIGHTS, "state.safetensors"):
        assert (trained / name).stat().st_mode == expected
