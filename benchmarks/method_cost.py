"""Measure the cost of a training step of each method, as a ratio to InfoNCE.

    python benchmarks/method_cost.py
    python benchmarks/method_cost.py --device cuda --model ViT-B-32/none --batch-size 256 --rounds 30

All methods train the same encoder from pixels on the same batch, on one thread; their steps alternate in one
process. Time is processor time on a CPU, and on a GPU (with bfloat16) wall time until the GPU has finished.
Figures are medians over rounds of the ratio within a round. Memory is what autograd saves for the backward
pass. Generating captions, teacher features and labels is not part of a step: loaders prepare them ahead, or
they are computed once for the whole source.
"""

import time
from itertools import count
from typing import Annotated, Any, Literal

import torch
import typer
from accelerate import Accelerator
from reporting import ResultsOption, report
from results import Column, Row, Table
from timing import Run, alternate, median_ratio, saved_bytes

from itr_core import load_encoder, load_pairs
from itr_core.methods import make_method
from itr_core.training.batches import EpochPlan, LoadedBatch, PairBatchDataset
from itr_core.training.config import TrainConfig
from itr_core.training.setup import open_images, open_method_inputs
from itr_core.training.train_step import TrainStep

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "infonce": ("infonce", {}),
    "crcgs": ("crcgs", {}),
    "coder, queue of 256": ("coder", {"queue": 256}),
    "ascl": ("ascl", {}),
    "ascl, local similarity (u1 = 0.8)": ("ascl", {"u1": 0.8}),
    "cusa": ("cusa", {}),
}
GOALS = {
    "crcgs": 1.15,
    "coder, queue of 256": 1.6,
    "ascl": 1.6,
    "ascl, local similarity (u1 = 0.8)": 2.0,
    "cusa": 1.1,
}
"""Largest acceptable time of a step, as a ratio to InfoNCE."""
WARM_UP = 2  # rounds
TOTAL_STEPS = 1_000  # of the learning-rate schedule


def main(
    batch_size: Annotated[int, typer.Option(help="Pairs in a batch.")] = 64,
    rounds: Annotated[int, typer.Option(help="Timed steps of each method.")] = 8,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Device; cuda uses bfloat16.")] = "cpu",
    model: Annotated[str, typer.Option(help="Model spec of the encoder.")] = "starter:infonce",
    results: ResultsOption = None,
) -> None:
    """Measure the cost of a training step of each method, as a ratio to InfoNCE."""
    torch.set_num_threads(1)
    on_cpu = device == "cpu"
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no" if on_cpu else "bf16")
    steps = {
        name: training_step(*prepare_step(*row, batch_size, accelerator, model=model))
        for name, row in ROWS.items()
    }
    seconds = alternate(
        steps, rounds, warm_up=WARM_UP, clock=time.process_time if on_cpu else _seconds_on_gpu
    )
    saved = {name: saved_bytes(step) for name, step in steps.items()}
    columns = {
        "time": Column(title="time", format=".2f"),
        "goal": Column(title="goal", format=".2f"),
        "memory": Column(title="memory saved for the backward pass", format=".2f"),
    }
    rows = []
    for name in ROWS:
        cells = {
            "time": median_ratio(seconds[name], seconds["infonce"]),
            "memory": saved[name] / saved["infonce"],
        }
        rows.append(Row(title=name, cells=cells | ({"goal": GOALS[name]} if name in GOALS else {})))
    notes = [f"Ratios to InfoNCE; {model}, {batch_size} pairs; rounds: {rounds}."]
    report(
        "method_cost" if on_cpu else "method_cost_cuda",
        {"ratios": Table(columns=columns, rows=rows)},
        results,
        notes,
    )


def _seconds_on_gpu() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def training_step(step: TrainStep, batch: LoadedBatch) -> Run:
    """Return a function that trains the next step on the batch."""
    steps = count()
    return lambda: step.update([batch], next(steps), TOTAL_STEPS)


def prepare_step(
    method: str,
    options: dict[str, Any],
    batch_size: int,
    accelerator: Accelerator,
    *,
    model: str = "starter:infonce",
    **settings: Any,
) -> tuple[TrainStep, LoadedBatch]:
    """Return a method's training step and a batch for it.

    Args:
        method: name of a method.
        options: its options.
        batch_size: pairs in the batch.
        accelerator: device and precision.
        model: spec of the encoder.
        settings: other fields of `TrainConfig`.
    """
    config = TrainConfig(
        method,
        "picturebook:train@512",
        model,
        options=options,
        batch_size=batch_size,
        **settings,
    )
    pairs, encoder = load_pairs(config.source), load_encoder(config.model, device=str(accelerator.device))
    images = open_images(pairs, encoder, progress=False)
    objective = make_method(method, options)
    inputs, setup = open_method_inputs(objective, pairs, images, encoder, progress=False)
    objective.build(setup)
    objective.prepare(setup)
    plan = EpochPlan(torch.arange(len(pairs)).numpy(), batch_size, seed=0)
    batches = PairBatchDataset(images, pairs.captions, encoder.tokenizer, plan, inputs=inputs)
    return TrainStep(config, encoder, objective, accelerator), batches[0]


if __name__ == "__main__":
    typer.run(main)
