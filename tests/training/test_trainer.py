"""The training loop on a tiny world: it learns, goes on exactly after any break, and keeps what it should."""

import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import ModelError, PairscopeError, SourceError
from itr_core.features.image_rows import cached_features, cached_pixels
from itr_core.methods import make_method
from itr_core.pairs import load_pairs
from itr_core.training import train
from itr_core.training.batches import EpochPlan, PairBatchDataset
from itr_core.training.config import TrainConfig
from itr_core.training.optimiser import make_optimiser, set_learning_rate
from itr_core.training.train_step import TrainStep
from itr_core.training.trainer import deterministic

WEIGHTS = "open_clip_model.safetensors"


pytestmark = pytest.mark.usefixtures("configs")


def settings(**changes: Any) -> dict[str, Any]:
    small = {
        "model": "tiny/none",
        "vocab_size": 300,
        "batch_size": 16,
        "device": "cpu",
        "lr": 3e-3,
        "crop": 0.0,
    }
    return small | {"progress": False, "max_steps": 6} | changes


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# -- it learns, and what it leaves behind ----------------------------------------------------------------


def test_learns_and_leaves_a_checkpoint_that_plain_open_clip_loads(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    options = settings(max_steps=100, eval_every=25, validation=source)
    out = train("infonce", source, out=tmp_path / "out", **options)
    steps = [entry for entry in log(out) if "loss" in entry]
    figures = [entry for entry in log(out) if "rsum" in entry]
    assert steps[-1]["loss"] < steps[0]["loss"] / 2
    best = max(figures, key=lambda entry: entry["rsum"])
    assert best["rsum"] > 300  # chance is 50
    assert [entry["step"] for entry in figures] == [25, 50, 75, 100]

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{out}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{out}")
    pairs = load_pairs(source)
    model.eval()
    with torch.no_grad():
        images = model.encode_image(
            torch.stack([preprocess(pairs.image(i)) for i in range(64)]), normalize=True
        )
        texts = model.encode_text(tokenize([texts[0] for texts in pairs.captions]), normalize=True)
    assert ((images @ texts.T).argmax(1) == torch.arange(64)).float().mean() > 0.3

    record = json.loads((out / "training.json").read_text())
    assert record["best"] == best
    assert record["config"]["batch_size"] == 16
    words = (out / "words.txt").read_text().split()
    assert words == sorted(set(words))
    assert {"sky", "mountainous", "yellow"} <= set(words)
    assert json.loads((out / "last" / "training.json").read_text())["step"] == 100


def test_without_validation_the_last_weights_are_kept(world: Path, tmp_path: Path) -> None:
    out = train("infonce", f"folder:{world}", out=tmp_path / "out", **settings())
    assert json.loads((out / "training.json").read_text())["step"] == 6
    assert not (out / "last").exists()


def test_bf16_learns_next_to_fp32_in_one_process(world: Path, tmp_path: Path) -> None:
    out = {
        name: train(
            "infonce", f"folder:{world}", out=tmp_path / name, **settings(max_steps=10, precision=name)
        )
        for name in ("fp32", "bf16")
    }
    losses = {name: log(folder)[-1]["loss"] for name, folder in out.items()}
    assert losses["fp32"] != losses["bf16"]
    assert losses["fp32"] == pytest.approx(losses["bf16"], rel=0.05)
    assert weights(out["bf16"])["visual.proj"].dtype == torch.float32


# -- it goes on exactly ----------------------------------------------------------------------------------

BUSY = {"max_steps": 24, "save_every": 4, "eval_every": 8, "crop": 0.2, "word_dropout": 0.2, "ema_decay": 0.8}
BUSY |= {"accumulate": 2, "captions_per_image": 2, "jitter": 0.1}


@pytest.fixture(scope="module")
def unbroken(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "out"
    return train("infonce", f"folder:{world}", out=out, **settings(**BUSY, validation=f"folder:{world}"))


def assert_same_run(one: Path, other: Path) -> None:
    assert_same(weights(one), weights(other))
    assert_same(weights(one / "last"), weights(other / "last"))
    assert_same(load_file(one / "state.safetensors"), load_file(other / "state.safetensors"))
    for mine, theirs in zip(log(one), log(other), strict=True):
        assert mine | {"pairs_per_s": 0} == theirs | {"pairs_per_s": 0}


@pytest.mark.parametrize("at_least", [5, 14])
def test_killed_and_resumed_is_the_unbroken_run(
    world: Path, configs: Path, unbroken: Path, tmp_path: Path, at_least: int
) -> None:
    options = settings(**BUSY, validation=f"folder:{world}")
    script = (
        f"import open_clip, torch; open_clip.add_model_config({str(configs)!r})\n"
        "torch.set_num_threads(1)\n"
        "from itr_core.training import train\n"
        f"train('infonce', 'folder:{world}', out={str(tmp_path / 'out')!r}, **{options!r})"
    )
    repository = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", script], cwd=repository)
    while not any(entry["step"] >= at_least for entry in _log_so_far(tmp_path / "out")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    out = train("infonce", f"folder:{world}", out=tmp_path / "out", resume=True, **options)
    assert_same_run(out, unbroken)


def _log_so_far(out: Path) -> list[dict[str, Any]]:
    try:
        return log(out) if (out / "state.safetensors").exists() else []
    except (OSError, ValueError):
        return []


def train_and_press(number: signal.Signals, source: str, out: Path, **options: Any) -> None:
    """Send this process a signal as soon as training has begun."""

    def press() -> None:
        while not (out / "metrics.jsonl").exists():
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt, match=r"Stopped after step \d+ of 24.*--resume"):
        train("infonce", source, out=out, **options)
    thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_says_how_to_go_on(
    world: Path, unbroken: Path, tmp_path: Path, number: signal.Signals
) -> None:
    source = f"folder:{world}"
    options = settings(**BUSY, validation=source, workers=1)
    train_and_press(number, source, tmp_path / "out", **options)
    out = train("infonce", source, out=tmp_path / "out", resume=True, **options)
    assert_same_run(out, unbroken)  # which had no loader process


def test_a_convolutional_tower_resumes_with_its_batch_statistics(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    options = settings(**BUSY, validation=source, model="tiny-conv/none")
    unbroken = train("infonce", source, out=tmp_path / "unbroken", **options)
    train_and_press(signal.SIGINT, source, tmp_path / "out", **options)
    out = train("infonce", source, out=tmp_path / "out", resume=True, **options)
    assert_same_run(out, unbroken)
    assert weights(out)["visual.trunk.bn1.running_mean"].any()


def test_resuming_a_finished_run_changes_nothing(world: Path, unbroken: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(unbroken, tmp_path / "out"))
    options = settings(**BUSY, validation=f"folder:{world}")
    assert_same_run(train("infonce", f"folder:{world}", out=out, resume=True, **options), unbroken)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"lr": 1.0}, "lr was 0.003, is 1.0"), ({"model": "ViT-B-32/none"}, "model was 'tiny/none'")],
)
def test_resume_refuses_another_run(
    world: Path, unbroken: Path, change: dict[str, Any], message: str
) -> None:
    options = settings(**BUSY, validation=f"folder:{world}") | change
    with pytest.raises(PairscopeError, match=message):
        train("infonce", f"folder:{world}", out=unbroken, resume=True, **options)


def test_resume_refuses_changed_data(world: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(world, tmp_path / "world"))
    out = train("infonce", f"folder:{here}", out=tmp_path / "out", **settings())
    notes = here / "metadata.jsonl"
    notes.write_text(notes.read_text().replace("a red sky", "a pink sky"))
    with pytest.raises(PairscopeError, match="other images or captions"):
        train("infonce", f"folder:{here}", out=out, resume=True, **settings())


def test_a_run_is_never_overwritten_nor_resumed_from_nothing(
    world: Path, unbroken: Path, tmp_path: Path
) -> None:
    with pytest.raises(PairscopeError, match="holds a training run"):
        train("infonce", f"folder:{world}", out=unbroken, **settings())
    with pytest.raises(ModelError, match="no run to resume"):
        train("infonce", f"folder:{world}", out=tmp_path / "out", resume=True, **settings())


# -- frozen towers and features --------------------------------------------------------------------------


def test_cached_features_train_only_what_is_behind_them(world: Path, tmp_path: Path) -> None:
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


def test_a_fresh_projection_with_a_bias_begins_with_the_mean_feature_at_zero(
    configs: Path, world: Path, tmp_path: Path
) -> None:
    biased = json.loads((configs / "tiny-conv.json").read_text())
    biased["vision_cfg"]["timm_proj_bias"] = True
    (configs / "tiny-biased.json").write_text(json.dumps(biased))
    open_clip.add_model_config(configs / "tiny-biased.json")
    features = 3 + np.random.default_rng(0).random((64, 256), np.float32)
    save_file({"made": features}, tmp_path / "f.safetensors")

    def trained(name: str, **changes: Any) -> np.ndarray:
        spec = f"{tmp_path / 'f.safetensors'}:made"
        out = train("infonce", f"folder:{world}", out=tmp_path / name, image_features=spec,
                    **settings(max_steps=1, lr=1e-9) | changes)  # fmt: skip
        head = load_file(out / WEIGHTS)
        return (
            features.mean(0) @ head["visual.head.proj.weight"].numpy().T
            + head["visual.head.proj.bias"].numpy()
        )

    np.testing.assert_allclose(trained("fresh", model="tiny-biased/none"), 0, atol=1e-3)
    moved = trained("moved", model="tiny-biased/none", lr=0.1)
    assert np.abs(moved).max() > 0.1
    further = trained("further", model=str(tmp_path / "moved"))
    np.testing.assert_allclose(further, moved, atol=1e-3)  # what is trained already stays


def test_an_attention_pooled_tower_learns_from_pixels_and_from_cached_features(
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


def test_pixel_and_feature_caches_hold_what_the_encoder_computes(world: Path) -> None:
    encoder, pairs = load_encoder("tiny/none"), load_pairs(f"folder:{world}")
    pixels, _ = cached_pixels(pairs, encoder, workers=2, progress=False).read(np.array([5, 3]))
    for value, row in zip(pixels, (5, 3), strict=True):
        normalise = encoder.preprocess.transforms[-1]
        torch.testing.assert_close(normalise(value / 255), encoder.preprocess(pairs.image(row)))
    features, _ = cached_features(pairs, encoder, workers=0, progress=False).read(np.arange(64))
    expected = encoder.image_features(pairs.image(i) for i in range(64))
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache_images", [True, False])
def test_bad_images_and_missing_captions_are_left_out_and_named(
    world: Path, tmp_path: Path, cache_images: bool
) -> None:
    here = Path(shutil.copytree(world, tmp_path / "world"))
    (here / "07.png").write_bytes((here / "07.png").read_bytes()[:60])  # a whole header, half a picture
    Image.new("RGB", (9, 9)).save(here / "without.png")
    options = settings(max_steps=8, cache_images=cache_images, validation=f"folder:{here}", eval_every=8)
    out = train("infonce", f"folder:{here}", out=tmp_path / "out", **options)
    left_out = json.loads((out / "last" / "training.json").read_text())["left_out"]
    assert len(left_out) == 2
    assert left_out[0].startswith("07.png")
    assert left_out[1] == "1 images have no caption."
    assert log(out)[-1]["t2i_r1"] >= 0


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "without.png")
    with pytest.raises(SourceError, match="no image with a caption"):
        train(
            "infonce", f"folder:{tmp_path}", out=tmp_path / "out", **settings(model="tiny/none", vocab_size=0)
        )


@pytest.mark.filterwarnings("ignore:.*")
def test_a_loss_that_is_not_finite_stops_with_the_images_and_keeps_the_last_good_model(
    world: Path, tmp_path: Path
) -> None:
    with pytest.raises(PairscopeError, match=r"Step \d+: loss nan.*\d\d\.png.*lower lr"):
        train("infonce", f"folder:{world}", out=tmp_path / "out", **settings(lr=1e30, warmup=0.5))
    last = log(tmp_path / "out")[-1]
    assert last["loss"] == "nan"
    assert len(last["image_ids"]) == 16
    assert all(value.isfinite().all() for value in weights(tmp_path / "out").values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: must be above 0"),
        ({"crop": 1.0}, r"crop=1\.0: must be at least 0 and below 1"),
        ({"device": "gpu"}, "device='gpu': must be one of auto, cpu"),
        ({"trackers": ("trakio",)}, "tracker 'trakio' is not installed"),
        ({"model": "tinny/none"}, "No model 'tinny/none'"),
        ({"validation": "foldr:here"}, "Did you mean 'folder'"),
    ],
)
def test_slips_are_named(world: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PairscopeError, match=message):
        train("infonce", f"folder:{world}", out=tmp_path / "out", **settings() | change)


def test_unknown_method_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Did you mean 'infonce'"):
        train("infonse", "folder:/nowhere", out=tmp_path / "out", **settings())
    assert not list(tmp_path.iterdir())


def test_full_disk_leaves_the_old_checkpoint_whole(world: Path, tmp_path: Path) -> None:
    start = train("infonce", f"folder:{world}", out=tmp_path / "start", **settings())
    before = (start / WEIGHTS).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (start / "state.safetensors").unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(PairscopeError, match="make room"):
            train("infonce", f"folder:{world}", out=start, **settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (start / WEIGHTS).read_bytes() == before
    assert not [path for path in start.iterdir() if path.name.startswith(("tmp", "."))]


# -- one step --------------------------------------------------------------------------------------------


@pytest.fixture
def learner() -> TrainStep:
    config = TrainConfig("infonce", "x", "tiny/none", crop=0.0, warmup=0.0, clip=1e9)
    return TrainStep(
        config, load_encoder("tiny/none", device="cpu"), make_method("infonce"), Accelerator(cpu=True)
    )


def some_batches(world: Path, learner: TrainStep, **options: Any) -> PairBatchDataset:
    pairs = load_pairs(f"folder:{world}")
    images = cached_pixels(pairs, learner.encoder, workers=0, progress=False)
    return PairBatchDataset(
        images, pairs.captions, learner.encoder.tokenizer, EpochPlan(np.arange(64), 8, 0), **options
    )


def test_accumulating_one_batch_twice_is_that_batch_once(world: Path, learner: TrainStep) -> None:
    batch = some_batches(world, learner)[0]
    other = TrainStep(
        learner.config, load_encoder("tiny/none", device="cpu"), make_method("infonce"), learner.accelerator
    )
    one, two = learner.update([batch], 0, 10), other.update([batch, batch], 0, 10)
    assert one == pytest.approx(two, rel=1e-5)
    for mine, theirs in zip(learner.encoder.parameters(), other.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)


def test_threads_add_up_gradients_in_one_order() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 192, generator=generator, requires_grad=True)
    rows, upstream = (
        torch.randint(0, 24, (4000,), generator=generator),
        torch.randn(4000, 192, generator=generator),
    )

    def gradient() -> bytes:
        return torch.autograd.grad((weight[rows] * upstream).sum(), weight)[0].numpy().tobytes()

    torch.set_num_threads(2)
    with deterministic(torch.device("cpu")):  # without it, these 20 are a dozen different ones
        assert len({gradient() for _ in range(20)}) == 1
    torch.set_num_threads(1)


def test_temperature_stays_above_a_hundredth(world: Path, learner: TrainStep) -> None:
    scale = learner.encoder.model.logit_scale
    scale.data.fill_(9.0)
    values = learner.update([some_batches(world, learner)[0]], 0, 10)
    assert scale.item() == pytest.approx(math.log(100))
    assert values["temperature"] == pytest.approx(0.01)


def test_every_weight_has_one_group_with_its_rate_and_decay() -> None:
    config = TrainConfig(
        "infonce", "x", "y", lr=1.0, image_lr_factor=0.1, text_lr_factor=0.5, weight_decay=0.2
    )
    encoder = load_encoder("tiny/none")
    groups = make_optimiser(encoder, torch.nn.Linear(2, 2), config).param_groups
    found = {id(weight): group for group in groups for weight in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found)
    assert len(found) == len(list(encoder.parameters())) + 2
    model: Any = encoder.model
    expected = [
        (model.visual.conv1.weight, 0.1, 0.2),
        (model.visual.ln_post.bias, 0.1, 0.0),
        (model.visual.proj, 1.0, 0.2),
        (model.transformer.resblocks[0].attn.in_proj_weight, 0.5, 0.2),
        (model.text_projection, 1.0, 0.2),
        (model.logit_scale, 1.0, 0.0),
    ]
    for weight, rate, decay in expected:
        assert (found[id(weight)]["peak_lr"], found[id(weight)]["weight_decay"]) == (rate, decay)


def test_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    optimiser = torch.optim.SGD([{"params": [torch.zeros(1)], "peak_lr": 2.0}])
    rates = []
    for step in range(100):
        set_learning_rate(optimiser, step, 100, warmup=0.1)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates[:10] == pytest.approx([0.2 * k for k in range(1, 11)])
    assert rates[10] == 2.0
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] < 0.001
