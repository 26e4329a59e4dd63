"""What a training step of each method costs, as a ratio to InfoNCE.

    python benchmarks/method_cost.py
    python benchmarks/method_cost.py --device cuda --model ViT-B-32/none --batch-size 256 --rounds 30

The same tower (from pixels), the same batch, one thread; steps of all methods alternate in one process, so
that a busy machine hurts all alike. Time is the processor's, on a GPU (with bfloat16) that until it has
finished; median over rounds of the ratio within a round. Memory is what autograd keeps for the backward
pass. Making captions, teachers and labels is no part of a step: loaders do it ahead, or it is done once for
the whole source.
"""

import argparse
import json
import statistics
import time
from typing import Any

import torch
from accelerate import Accelerator

from itr_core import load_encoder, load_pairs
from itr_core.methods import make_method
from itr_core.training.batches import EpochPlan, LoadedBatch, PairBatchDataset
from itr_core.training.config import TrainConfig
from itr_core.training.setup import open_images, open_supplies
from itr_core.training.train_step import TrainStep

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "infonce": ("infonce", {}),
    "crcgs": ("crcgs", {}),
    "coder": ("coder", {"queue": 256}),
    "ascl": ("ascl", {}),
    "ascl, u1=0.8": ("ascl", {"u1": 0.8}),
    "cusa": ("cusa", {}),
}
WARM_UP = 2  # steps
GOALS = {"crcgs": 1.15, "coder": 1.6, "ascl": 1.6, "ascl, u1=0.8": 2.0, "cusa": 1.1}


def main() -> None:
    """Print one line per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--model", default="starter:infonce", help="spec of the encoder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    on_cpu = args.device == "cpu"
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no" if on_cpu else "bf16")
    ready = {
        name: prepared(*row, args.batch_size, accelerator, model=args.model) for name, row in ROWS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in ROWS}
    for step in range(WARM_UP + args.rounds):
        for name, (learner, batch) in ready.items():
            start = _now(on_cpu)
            learner.update([batch], step, 1_000)
            seconds[name].append(_now(on_cpu) - start)
    saved = {name: _saved_bytes(*each) for name, each in ready.items()}
    for name in ROWS:
        ratios = [a / b for a, b in zip(seconds[name][WARM_UP:], seconds["infonce"][WARM_UP:], strict=True)]
        figures = {"time": statistics.median(ratios), "memory": saved[name] / saved["infonce"]}
        print(json.dumps({"method": name, **{key: round(value, 2) for key, value in figures.items()},
                          "goal": GOALS.get(name, 1.0)}), flush=True)  # fmt: skip


def _now(on_cpu: bool) -> float:
    if on_cpu:
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def prepared(
    method: str,
    options: dict[str, Any],
    batch_size: int,
    accelerator: Accelerator,
    *,
    model: str = "starter:infonce",
    **settings: Any,
) -> tuple[TrainStep, LoadedBatch]:
    """Return what takes a step of a method, and a batch for it."""
    config = TrainConfig(
        method,
        "picturebook:train@512",
        model,
        options=options,
        batch_size=batch_size,
        **settings,
    )
    pairs, encoder = load_pairs(config.source), load_encoder(config.model, device=str(accelerator.device))
    images = open_images(config, pairs, None, encoder, progress=False)
    objective = make_method(method, options)
    supplies, setup = open_supplies(config, objective, pairs, images, encoder, progress=False)
    objective.build(setup)
    objective.prepare(setup)
    plan = EpochPlan(torch.arange(len(pairs)).numpy(), batch_size, seed=0)
    batches = PairBatchDataset(images, pairs.captions, encoder.tokenizer, plan, supplies=supplies)
    return TrainStep(config, encoder, objective, accelerator), batches[0]


def _saved_bytes(learner: TrainStep, batch: LoadedBatch) -> int:
    """Bytes that autograd keeps between the two passes of a step, each storage once."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        learner.update([batch], 0, 1_000)
    return sum(kept.values())


if __name__ == "__main__":
    main()
