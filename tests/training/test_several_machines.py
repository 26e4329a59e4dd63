"""Four processes on two simulated machines train like one process, also if one of them is killed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from itr_core.training import train
from tests.training.runs import settings

pytestmark = [pytest.mark.slow, pytest.mark.kill]

SCRIPT = """
import json, os, signal, sys
from pathlib import Path

import open_clip, torch

from itr_core.training.train_step import TrainStep
from itr_core.training import train

torch.set_num_threads(1)
open_clip.add_model_config(sys.argv[1])
update = TrainStep.update

def killed_once(self, loaded, step, total):
    if os.environ["RANK"] == "3" and step == 3 and broken and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, loaded, step, total)

TrainStep.update = killed_once
for method, source, out, settings in json.load(open(sys.argv[2])):
    broken, killed = out.endswith("broken"), Path(out + "-killed")
    train(method, source, out=out, **settings)
"""

CODER = {"queue": 24, "clusters": 4}


def few_steps(**changes: Any) -> dict[str, Any]:
    return settings(max_steps=5, save_every=2, lr=3e-4, batch_size=16) | changes


@pytest.fixture(scope="module")
def outs(configs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of four processes; in `broken`, the last of them is killed after the state of step 2 is saved."""
    folder = tmp_path_factory.mktemp("several")
    plan = [
        ("infonce", f"folder:{world}", str(folder / "infonce"), few_steps()),
        ("infonce", f"folder:{world}", str(folder / "local"), few_steps(local_loss=True)),
        ("coder", f"folder:{world}", str(folder / "coder"), few_steps(options=CODER)),
        ("coder", f"folder:{world}", str(folder / "broken"), few_steps(options=CODER)),
    ]
    (folder / "runs.json").write_text(json.dumps(plan))
    (folder / "script.py").write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "2"]
    command += ["--max-restarts", "3", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    command += ["--local-addr", "127.0.0.1"]
    command += [str(folder / "script.py"), str(configs), str(folder / "runs.json")]
    repository = str(Path(__file__).parents[2])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": repository}
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # as docs/how-to/train.md says
    machines = []
    for number in range(2):
        with (folder / f"{number}.log").open("w") as log:
            machines.append(
                subprocess.Popen(command, cwd=repository, env=environment, stdout=log, stderr=log)
            )
    try:
        codes = [machine.wait(timeout=540) for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()
    assert codes == [0, 0], "\n".join((folder / f"{number}.log").read_text()[-3000:] for number in range(2))
    return folder


@pytest.mark.parametrize(
    ("method", "options", "run"),
    [("infonce", {}, "infonce"), ("infonce", {}, "local"), ("coder", CODER, "coder")],
)
def test_four_processes_on_two_machines_give_the_training_of_one(
    outs: Path, world: Path, tmp_path: Path, method: str, options: dict[str, Any], run: str
) -> None:
    alone = train(method, f"folder:{world}", out=tmp_path / "alone", **few_steps(options=options))
    mine, theirs = (load_file(out / "state.safetensors") for out in (alone, outs / run))
    assert mine.keys() == theirs.keys()  # weights, both moments of AdamW, and the queue of CODER
    for name, value in mine.items():
        atol = 1e-5 if not name.startswith("optimizer/") else 1e-4 * value.double().abs().max().item()
        torch.testing.assert_close(theirs[name], value, atol=atol, rtol=1e-5, msg=f"{name} differs")
    assert json.loads((outs / run / "training.json").read_text())["processes"] == 4


def test_a_killed_process_is_started_again_and_the_run_ends_with_the_same_weights(outs: Path) -> None:
    assert (outs / "broken-killed").exists()
    mine, theirs = (load_file(outs / run / "state.safetensors") for run in ("coder", "broken"))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
