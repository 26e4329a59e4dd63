"""Resuming: after any interruption, a run ends with exactly the weights, metrics and state of one without."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from itr_core.errors import ModelError, PairscopeError
from itr_core.training import train
from tests.training.runs import assert_same, log, settings, weights

pytestmark = pytest.mark.usefixtures("configs")


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
def test_a_killed_run_resumes_exactly(
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
    process.kill()
    process.wait()
    out = train("infonce", f"folder:{world}", out=tmp_path / "out", resume=True, **options)
    assert_same_run(out, unbroken)


def _log_so_far(out: Path) -> list[dict[str, Any]]:
    try:
        return log(out) if (out / "state.safetensors").exists() else []
    except (OSError, ValueError):
        return []


def train_until_signal(number: signal.Signals, source: str, out: Path, **options: Any) -> None:
    """Train, and send this process a signal as soon as training has started."""

    def send() -> None:
        while not (out / "metrics.jsonl").exists():
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt, match=r"Stopped after step \d+ of 24.*--resume"):
        train("infonce", source, out=out, **options)
    thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_the_state_and_explains_how_to_resume(
    world: Path, unbroken: Path, tmp_path: Path, number: signal.Signals
) -> None:
    source = f"folder:{world}"
    options = settings(**BUSY, validation=source, workers=1)
    train_until_signal(number, source, tmp_path / "out", **options)
    out = train("infonce", source, out=tmp_path / "out", resume=True, **options)
    assert_same_run(out, unbroken)  # that run had no loader process


def test_running_statistics_of_batch_norms_resume(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    options = settings(**BUSY, validation=source, model="tiny-conv/none")
    unbroken = train("infonce", source, out=tmp_path / "unbroken", **options)
    train_until_signal(signal.SIGINT, source, tmp_path / "out", **options)
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
def test_a_run_does_not_resume_with_other_settings(
    world: Path, unbroken: Path, change: dict[str, Any], message: str
) -> None:
    options = settings(**BUSY, validation=f"folder:{world}") | change
    with pytest.raises(PairscopeError, match=message):
        train("infonce", f"folder:{world}", out=unbroken, resume=True, **options)


def test_a_run_does_not_resume_with_changed_data(world: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(world, tmp_path / "world"))
    out = train("infonce", f"folder:{here}", out=tmp_path / "out", **settings())
    notes = here / "metadata.jsonl"
    notes.write_text(notes.read_text().replace("a red sky", "a pink sky"))
    with pytest.raises(PairscopeError, match=r"images or captions of .* have changed"):
        train("infonce", f"folder:{here}", out=out, resume=True, **settings())


def test_a_run_is_not_overwritten_and_a_missing_run_not_resumed(
    world: Path, unbroken: Path, tmp_path: Path
) -> None:
    with pytest.raises(PairscopeError, match="holds a training run"):
        train("infonce", f"folder:{world}", out=unbroken, **settings())
    with pytest.raises(ModelError, match="no run to resume"):
        train("infonce", f"folder:{world}", out=tmp_path / "out", resume=True, **settings())


def test_a_damaged_state_is_named_with_a_way_out_that_works(
    world: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(unbroken, tmp_path / "out"))
    options = settings(**BUSY, validation=f"folder:{world}")
    state = out / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(PairscopeError, match=r"resume it \(--resume\) or choose another folder"):
        train("infonce", f"folder:{world}", out=out, **options)
    with pytest.raises(ModelError, match="to resume after step 20, rename"):
        train("infonce", f"folder:{world}", out=out, resume=True, **options)
    (out / "state.previous.safetensors").replace(state)
    train("infonce", f"folder:{world}", out=out, resume=True, **options)
    assert_same_run(out, unbroken)


def test_a_damaged_checkpoint_is_written_again_from_the_state(
    world: Path, unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(unbroken, tmp_path / "out"))
    (out / "open_clip_model.safetensors").write_bytes(b"")
    options = settings(**BUSY, validation=f"folder:{world}") | {"progress": True}
    train("infonce", f"folder:{world}", out=out, resume=True, **options)
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "open_clip_model.safetensors has changed. It is written again with the weights of step 24" in printed
    )
    assert_same(weights(out), weights(unbroken / "last"))


def test_another_number_of_threads_is_said(
    world: Path, unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(unbroken, tmp_path / "out"))
    options = settings(**BUSY, validation=f"folder:{world}") | {"progress": True}
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        train("infonce", f"folder:{world}", out=out, resume=True, **options)
    finally:
        torch.set_num_threads(before)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"The run was started with {before} threads and resumes with {before + 1}" in printed
    assert f"set OMP_NUM_THREADS={before}" in printed
