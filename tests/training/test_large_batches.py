"""Gradient caching and several processes give the same training as one process with the whole batch."""

import json
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from itr_core.batch import EncoderOutput, PairBatch, join, split
from itr_core.features.image_rows import cached_pixels
from itr_core.methods import Setup, make_method
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.pairs import load_pairs
from itr_core.training import train
from itr_core.training.batches import EpochPlan, PairBatchDataset
from itr_core.training.config import TrainConfig
from itr_core.training.grad_cache import encode_in_chunks
from itr_core.training.setup import new_encoder
from itr_core.training.train_step import TrainStep
from tests.support import present
from tests.training.runs import assert_same, settings

# -- gradient caching ------------------------------------------------------------------------------------


class Toy(nn.Module):
    """An encoder with everything that can differ between two passes: noise, dropout and batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
        self.text = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=None), nn.Linear(8, 3))
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.double()

    def encode(self, part: PairBatch, index: int) -> EncoderOutput:
        """Embed a part, with random numbers that depend on its index."""
        torch.manual_seed(index)
        assert part.image is not None
        noise = torch.randn(part.image.shape, dtype=torch.float64)
        return EncoderOutput(self.image(part.image + noise), self.text(part.text.double()), self.scale.exp())


def test_the_second_pass_repeats_random_numbers_and_does_not_update_batch_norms() -> None:
    torch.manual_seed(0)
    twice = Toy()
    once = Toy()
    once.load_state_dict(twice.state_dict())
    images, ids = torch.randn(11, 6, dtype=torch.float64), torch.randint(0, 9, (11, 4))
    batch = PairBatch(text=ids, image_id=torch.arange(11), captions=[""] * 11, image=images)
    parts = split(batch, 4)
    for toy, out in (
        (once, join([once.encode(part, number) for number, part in enumerate(parts)])),
        (twice, encode_in_chunks(twice.encode, parts, twice)),
    ):
        symmetric_info_nce(out.image, out.text, out.logit_scale, batch.image_id).backward()
        for name in ("scale", "image.0.weight"):
            assert present(toy.get_parameter(name).grad).any()
    for mine, theirs in zip(twice.parameters(), once.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-14, rtol=1e-12)
    assert_same(dict(twice.named_buffers()), dict(once.named_buffers()))
    assert dict(twice.named_buffers())["image.1.num_batches_tracked"] == 3


def prepared(world: Path, method: str = "infonce", **options: Any) -> tuple[TrainStep, PairBatchDataset]:
    config = TrainConfig(method, "x", "tiny/none", vocab_size=300, **options)
    pairs = load_pairs(f"folder:{world}")
    made = make_method(method, {"queue": 8, "concept_branch": False} if method == "coder" else {})
    made.build(Setup(dim=32, captions=[["a"]] * 64))
    encoder = new_encoder(config.model, pairs.flat_captions()[0], device="cpu", vocab_size=config.vocab_size)
    step = TrainStep(config, encoder, made, Accelerator(cpu=True))
    images = cached_pixels(pairs, step.encoder, workers=0, progress=False)
    return step, PairBatchDataset(
        images, pairs.captions, step.encoder.tokenizer, EpochPlan(np.arange(64), 64, 0)
    )


@pytest.mark.usefixtures("configs")
def test_both_passes_encode_the_same_pixels_and_keys_are_computed_once(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, batches = prepared(world, "coder", encode_batch=24, crop=0.3, flip=True, jitter=0.3)
    seen: list[Tensor] = []
    normalise = step.encoder.normalise

    def recorded(pixels: Tensor) -> Tensor:
        seen.append(pixels)
        return normalise(pixels)

    monkeypatch.setattr(step.encoder, "normalise", recorded)
    keys: list[int] = []
    step.momentum.module.register_forward_hook(lambda *inputs: keys.append(len(inputs[1][0])))
    step.update([batches[0]], 0, 10)
    assert keys == [21, 21, 22]
    first, second = seen[:3], seen[3:]
    assert len(second) == 3
    for pixels in first:
        assert sum(again.shape == pixels.shape and torch.equal(again, pixels) for again in second) == 1
    assert not torch.equal(first[0], first[1])


class Live(TorchDispatchMode):
    """Measures `most`, the peak memory in bytes of tensors that are created inside the block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # no types in torch
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor) and value.untyped_storage()._cdata not in self._known:
                storage = value.untyped_storage()
                self._known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return made

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@pytest.mark.usefixtures("configs")
def test_memory_holds_the_activations_of_one_part(world: Path) -> None:
    most = {}
    for encode_batch in (None, 8):
        step, batches = prepared(world, encode_batch=encode_batch)
        loaded = batches[0]
        with Live() as live:
            step.update([loaded], 0, 10)
        most[encode_batch] = live.most
    assert most[8] < most[None] / 3  # weights, gradients and moments are in both


@pytest.mark.parametrize("method", ["infonce", "siglip"])
def test_a_quarter_of_the_rows_takes_a_quarter_of_the_memory(method: str) -> None:
    made, n = make_method(method), 400
    batch = PairBatch(torch.zeros(n, 1), torch.arange(n), [""] * n)
    most = {}
    for rows in (None, slice(100, 200)):
        image, text = torch.randn(2, n, 4, requires_grad=True)
        out = EncoderOutput(image, text, torch.tensor(1.0), logit_bias=torch.tensor(0.0))
        with Live() as live:
            terms = made(out, batch) if rows is None else made.share(out, batch, rows)
            torch.stack([*terms.values()]).sum().backward()
        most[rows is None] = live.most
    assert most[False] < most[True] / 3  # the embeddings are in both


# -- whole runs, with gradient caching and with two processes --------------------------------------------

RUNS: dict[str, dict[str, Any]] = {
    "infonce": {"batch_size": 15, "accumulate": 2},
    "coder": {"options": {"queue": 24, "clusters": 4}},
    "crcgs": {"limit": 32},
    # shuffle: a swap of words can give another caption, and then rounding decides between equal scores
    "ascl": {"captions_per_image": 2, "options": {"u1": 0.5, "operations": "shuffle"}},
    "ascl+cusa": {"options": {"u1": 0.5, "negatives": "feature"}},
}


def few_steps(**changes: Any) -> dict[str, Any]:
    return settings(max_steps=2, lr=3e-4) | changes


@pytest.fixture(scope="module")
def whole(configs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of one process that encodes whole batches."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        method: train(method, f"folder:{world}", out=folder / method, **few_steps(**changes))
        for method, changes in RUNS.items()
    }


def assert_equal_up_to_rounding(one: Path, other: Path) -> None:
    """Compare weights, buffers and both moments of AdamW; moments show gradients that differ by a factor."""
    mine, theirs = (load_file(out / "state.safetensors") for out in (one, other))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        atol = 1e-5 if not name.startswith("optimizer/") else 1e-4 * value.double().abs().max().item()
        torch.testing.assert_close(theirs[name], value, atol=atol, rtol=1e-5, msg=f"{name} differs")


@pytest.mark.parametrize("method", RUNS)
def test_gradient_caching_gives_the_same_training(
    world: Path, whole: dict[str, Path], tmp_path: Path, method: str
) -> None:
    changes = RUNS[method] | {"encode_batch": 6}  # 6, 6 and 3 or 4 images
    out = train(method, f"folder:{world}", out=tmp_path / "out", **few_steps(**changes))
    assert_equal_up_to_rounding(whole[method], out)


SCRIPT = """
import hashlib, json, os, signal, sys

import open_clip, torch

from itr_core.errors import PairscopeError
from itr_core.training.train_step import TrainStep
from itr_core.training import train

torch.set_num_threads(1)
open_clip.add_model_config(sys.argv[1])
rank, update, steps, stop_at = int(os.environ["RANK"]), TrainStep.update, [], None

def watched(self, loaded, step, total):
    steps[:] = [self]
    if rank == 1 and step == stop_at:
        os.kill(os.getpid(), signal.SIGTERM)
    return update(self, loaded, step, total)

TrainStep.update = watched
for method, source, out, stop_at, settings in json.load(open(sys.argv[2])):
    try:
        train(method, source, out=out, **settings)
        assert stop_at is None
    except KeyboardInterrupt:
        stop_at = None
        train(method, source, out=out, resume=True, **settings)
    digest = hashlib.sha256()
    for module in steps[0].modules.values():
        for value in module.state_dict().values():
            digest.update(value.numpy().tobytes())
    digests = [None, None]
    torch.distributed.all_gather_object(digests, digest.hexdigest())
    assert digests[0] == digests[1], f"{out}: the processes differ"
try:
    train(method, source, out=out + "-small", **settings | {"batch_size": 1})
except PairscopeError as error:
    assert "smaller than the number of processes, 2" in str(error)
else:
    raise AssertionError("one image for two processes")
"""


@pytest.fixture(scope="module")
def shared(configs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The runs of `whole`, and others, by two processes; both processes must end in the same state."""
    folder = tmp_path_factory.mktemp("shared")
    source = f"folder:{world}"
    runs: dict[str, tuple[str, str, int | None, dict[str, Any]]] = {
        method: (method, source, None, few_steps(**changes)) for method, changes in RUNS.items()
    }
    busy = few_steps(model="tiny-conv/none", max_steps=6, save_every=2, crop=0.2, ema_decay=0.5)
    busy |= {"validation": source, "eval_every": 3, "encode_batch": 3, "workers": 1}
    runs |= {"unbroken": ("infonce", source, None, busy), "resumed": ("infonce", source, 3, busy)}
    broken = Path(shutil.copytree(world, folder / "world"))
    for name in ("07.png", "41.png"):
        (broken / name).write_bytes((broken / name).read_bytes()[:60])
    local = few_steps(**RUNS["infonce"], local_loss=True)  # parts of 8 and 7 images
    runs["local loss"] = ("infonce", source, None, local)
    everything = few_steps(cache_images=False, max_steps=4)
    runs["broken"] = ("infonce", f"folder:{broken}", None, everything)
    outs = {name: folder / name for name in runs}
    plan = [(run[0], run[1], str(outs[name]), *run[2:]) for name, run in runs.items()]
    (folder / "runs.json").write_text(json.dumps(plan))
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(folder / "script.py"), str(configs), str(folder / "runs.json")]
    repository = str(Path(__file__).parents[2])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": repository}
    done = subprocess.run(
        command,
        check=False,  # the assertion shows stderr
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    alone = train("infonce", f"folder:{broken}", out=folder / "alone", **everything)
    return outs | {"alone": alone}


@pytest.mark.parametrize("method", RUNS)
def test_two_processes_give_the_same_training_as_one(
    whole: dict[str, Path], shared: dict[str, Path], method: str
) -> None:
    one, two = whole[method], shared[method]
    assert_equal_up_to_rounding(one, two)
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    [mine], [theirs] = (
        [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()] for out in (one, two)
    )
    assert theirs == pytest.approx(mine | {"pairs_per_s": theirs["pairs_per_s"]}, rel=1e-4)
    assert json.loads((two / "training.json").read_text())["processes"] == 2


def test_a_local_loss_gives_the_same_training(whole: dict[str, Path], shared: dict[str, Path]) -> None:
    one, two = whole["infonce"], shared["local loss"]
    assert_equal_up_to_rounding(one, two)
    mine, theirs = (json.loads((out / "metrics.jsonl").read_text()) for out in (one, two))
    assert theirs == pytest.approx(mine | {"pairs_per_s": theirs["pairs_per_s"]}, rel=1e-4)


def test_a_signal_to_one_process_stops_both_and_they_resume_exactly(shared: dict[str, Path]) -> None:
    for name in ("state", "last/open_clip_model", "open_clip_model"):
        mine, theirs = (load_file(shared[run] / f"{name}.safetensors") for run in ("unbroken", "resumed"))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in mine.items())


def test_images_that_one_process_cannot_decode_are_skipped_by_both(shared: dict[str, Path]) -> None:
    assert_equal_up_to_rounding(shared["alone"], shared["broken"])
    left_out = json.loads((shared["broken"] / "training.json").read_text())["left_out"]
    assert [text[:6] for text in left_out] == ["07.png", "41.png"]
