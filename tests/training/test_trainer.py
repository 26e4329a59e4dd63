"""The training loop on 64 tiny images: it learns, writes a checkpoint, and reports bad input."""

import json
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from itr_core.errors import ModelError, PairscopeError, SourceError
from itr_core.methods import make_method
from itr_core.pairs import load_pairs
from itr_core.training import train
from itr_core.training.method_inputs import MethodInputs
from tests.support import present
from tests.training.runs import WEIGHTS, log, settings, weights

pytestmark = pytest.mark.usefixtures("configs")


def test_learns_and_writes_a_checkpoint_that_plain_open_clip_loads(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    options = settings(max_steps=100, eval_every=25, validation=source)
    out = train("infonce", source, out=tmp_path / "out", **options)
    steps = [entry for entry in log(out) if "loss" in entry]
    validations = [entry for entry in log(out) if "rsum" in entry]
    assert steps[-1]["loss"] < steps[0]["loss"] / 2
    best = max(validations, key=lambda entry: entry["rsum"])
    assert best["rsum"] > 300  # chance is 50
    assert [entry["step"] for entry in validations] == [0, 25, 50, 75, 100]

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


def test_without_validation_the_last_weights_are_saved(world: Path, tmp_path: Path) -> None:
    out = train("infonce", f"folder:{world}", out=tmp_path / "out", **settings())
    assert json.loads((out / "training.json").read_text())["step"] == 6
    assert not (out / "last").exists()


def test_bf16_and_fp32_runs_in_one_process_give_similar_losses(world: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("instructions", "precision", "told"),
    [("AVX2", "bf16", True), ("AVX512", "bf16", False), ("AVX2", "fp32", False)],
)
def test_a_processor_that_is_slow_in_bf16_is_told(
    instructions: str,
    precision: str,
    told: bool,
    world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    options = settings(max_steps=1, precision=precision) | {"progress": True}
    train("infonce", f"folder:{world}", out=tmp_path / "out", **options)
    assert ("no bf16 instructions" in " ".join(capsys.readouterr().out.split())) == told


@pytest.mark.parametrize("cache_images", [True, False])
def test_bad_images_and_images_without_captions_are_skipped_and_named(
    world: Path, tmp_path: Path, cache_images: bool
) -> None:
    here = Path(shutil.copytree(world, tmp_path / "world"))
    (here / "07.png").write_bytes((here / "07.png").read_bytes()[:60])  # a complete header, incomplete pixels
    Image.new("RGB", (9, 9)).save(here / "without.png")
    options = settings(max_steps=8, cache_images=cache_images, validation=f"folder:{here}", eval_every=8)
    out = train("infonce", f"folder:{here}", out=tmp_path / "out", **options)
    left_out = json.loads((out / "last" / "training.json").read_text())["left_out"]
    assert len(left_out) == 2
    assert left_out[0].startswith("07.png")
    assert left_out[1] == "1 images have no caption."
    assert log(out)[-1]["t2i_r1"] >= 0


def test_a_source_without_captions_is_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "without.png")
    with pytest.raises(SourceError, match="no image with a caption"):
        train(
            "infonce", f"folder:{tmp_path}", out=tmp_path / "out", **settings(model="tiny/none", vocab_size=0)
        )


@pytest.mark.filterwarnings("ignore:.*")
def test_a_loss_that_is_not_finite_stops_the_run_names_the_images_and_keeps_the_saved_model(
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
        ({"batch_size": 0}, "batch_size=0: must be an integer"),
        ({"crop": 1.0}, r"crop=1\.0: must be a number \(at least 0 and below 1\)"),
        ({"device": "gpu"}, "device='gpu': must be one of auto, cpu"),
        ({"trackers": ("trakio",)}, "tracker 'trakio' is not installed"),
        ({"model": "tinny/none"}, "No model 'tinny/none'"),
        ({"validation": "foldr:here"}, "Did you mean 'folder'"),
    ],
)
def test_bad_settings_are_named(world: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PairscopeError, match=message):
        train("infonce", f"folder:{world}", out=tmp_path / "out", **settings() | change)


def test_an_unknown_method_is_named_before_data_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Did you mean 'infonce'"):
        train("infonse", "folder:/nowhere", out=tmp_path / "out", **settings())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("method", "options"), [("ascl", {}), ("infonce", {"exact_negatives": True})])
def test_a_local_loss_needs_a_sum_over_rows(method: str, options: dict[str, Any], tmp_path: Path) -> None:
    given = settings(local_loss=True, options=options)
    with pytest.raises(PairscopeError, match=rf"{method} with these.* siglip or with infonce without exact_"):
        train(method, "folder:/nowhere", out=tmp_path / "out", **given)


def test_a_full_disk_does_not_damage_the_old_checkpoint(world: Path, tmp_path: Path) -> None:
    start = train("infonce", f"folder:{world}", out=tmp_path / "start", **settings())
    before = (start / WEIGHTS).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (start / "state.safetensors").unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(PairscopeError, match="Free disk space"):
            train("infonce", f"folder:{world}", out=start, **settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (start / WEIGHTS).read_bytes() == before
    assert not [path for path in start.iterdir() if path.name.startswith(("tmp", "."))]


def test_hard_negatives_come_from_the_source(tmp_path: Path) -> None:
    options = {"hard_negatives": 1.0}
    with pytest.raises(SourceError, match=r"no captions that are known to be false.*train\+queries"):
        train("infonce", "picturebook:train@32", out=tmp_path / "none", **settings(options=options))
    pairs = load_pairs("picturebook:train+queries@32")
    seen: list[list[str]] = []

    class Words:
        def __call__(self, texts: list[str]) -> torch.Tensor:
            seen.append(texts)
            return torch.zeros(len(texts), 1, dtype=torch.int64)

    inputs = MethodInputs(
        make_method("infonce", options), Words(), pairs.captions, false_captions=pairs.false_captions
    )
    rows, chosen = np.array([3, 9, 9]), np.array([0, 7, 12])
    made = inputs(rows, chosen, chosen, ["", "", ""], (0, 0))
    assert set(made) == {"negative_text", "negative_id"}
    false = present(pairs.false_captions)
    every = [text for of_image in false for texts in of_image for text in texts]
    first = len(pairs.flat_captions()[0])
    assert [every[number - first] for number in made["negative_id"].tolist()] == seen[0]
    assert seen[0][0] in {text for texts in false[3] for text in texts}
    assert seen[0][1] in false[9][7]
    assert seen[0][2] in false[9][12]
    train("infonce", "picturebook:train+queries@32", out=tmp_path / "run", **settings(options=options))
    assert log(tmp_path / "run")[-1]["infonce_hard"] > 0


def test_exact_negatives_need_a_source_that_knows_the_truth(world: Path, tmp_path: Path) -> None:
    options = {"exact_negatives": True}
    with pytest.raises(SourceError, match=r"does not know which captions are true.*train\+queries"):
        train("infonce", f"folder:{world}", out=tmp_path / "none", **settings(options=options))
    with pytest.raises(ModelError, match=r"word_dropout=0\.1: a caption that has lost words"):
        train(
            "infonce",
            "picturebook:train+twins@32",
            out=tmp_path / "none",
            **settings(options=options, word_dropout=0.1),
        )
    losses = {}
    for exact in (False, True):
        out = tmp_path / f"{exact}"
        given = settings(options={"exact_negatives": exact}, captions_per_image=3)
        train("infonce", "picturebook:train+twins@32", out=out, **given)
        losses[exact] = [line["infonce"] for line in log(out) if "infonce" in line]
    assert losses[True] != losses[False]
