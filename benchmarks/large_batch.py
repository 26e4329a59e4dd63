"""What large batches cost: `python benchmarks/large_batch.py [--sizes 1024 2048 4096]`, one thread.

`loss`: InfoNCE of random embeddings (d = 512) three ways: open_clip's ClipLoss, the plain form, and blocks.
`encoding`: a training step of starter:infonce from pixels, encoding a batch at once and by parts. Ways take
turns, so that a busy machine hurts all alike. Time is the processor's for both passes, median over rounds of
the ratio within a round. Memory of a loss is what autograd keeps for the backward pass; of a step, what the
process grows by.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from method_cost import prepared
from open_clip.loss import ClipLoss
from torch import Tensor
from torch.nn.functional import normalize

from itr_core.methods.components import info_nce

DIM = 512
Run = Callable[[], Any]


def main() -> None:
    """Print one line per size and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--batch-size", type=int, default=128, help="of the step")
    parser.add_argument("--encode-batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoding(args.batch_size, args.encode_batch, args.rounds)
    info_nce.LARGE = max(args.sizes)  # the plain form stays plain
    for size in args.sizes:
        loss(size, args.rounds)


def loss(size: int, rounds: int) -> None:
    """Compare ways of computing InfoNCE for one batch size."""
    image, text = (torch.randn(size, DIM).requires_grad_() for _ in range(2))
    scale, ids = torch.tensor(14.3, requires_grad=True), torch.arange(size)
    ways: dict[str, Callable[[], Tensor]] = {
        "open_clip": lambda: ClipLoss()(normalize(image, dim=-1), normalize(text, dim=-1), scale),
        "plain": lambda: info_nce.symmetric_info_nce(image, text, scale, ids),
        "blocks": lambda: info_nce.block_info_nce(image, text, scale, ids),
    }
    kept = {name: saved_bytes(direction) for name, direction in ways.items()}
    passes = {name: lambda direction=direction: direction().backward() for name, direction in ways.items()}
    seconds = processor_seconds(passes, rounds)
    for name in ways:
        figures = {"batch": size, "direction": name, "saved_mib": round(kept[name] / 2**20, 1)}
        for peer in ("open_clip", "plain"):
            figures[f"memory_to_{peer}"] = round(kept[name] / kept[peer], 3)
            figures[f"time_to_{peer}"] = round(median_ratio(seconds[name], seconds[peer]), 2)
        print(json.dumps(figures), flush=True)


def encoding(batch_size: int, encode_batch: int, rounds: int) -> None:
    """Compare a step that encodes its batch at once with one that does so by parts."""
    accelerator = Accelerator(cpu=True)
    ways: dict[str, Run] = {}
    for name, part in (("at once", None), ("by parts", encode_batch)):
        learner, batch = prepared("infonce", {}, batch_size, accelerator, encode_batch=part)
        ways[name] = lambda learner=learner, batch=batch: learner.update([batch], 1, 1_000)
    grown = {
        name: grown_bytes(direction) for name, direction in ways.items()
    }  # first: no fork after a backward pass
    seconds = processor_seconds(ways, rounds)
    figures = {"batch": batch_size, "encode_batch": encode_batch}
    figures |= {f"{name}, grown_mib": round(size / 2**20) for name, size in grown.items()}
    figures["memory"] = round(grown["by parts"] / grown["at once"], 3)
    figures["time"] = round(median_ratio(seconds["by parts"], seconds["at once"]), 2)
    print(json.dumps(figures), flush=True)


def processor_seconds(ways: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each way in each round, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, direction in ways.items():
            start = time.process_time()
            direction()
            seconds[name].append(time.process_time() - start)
    return {name: each[1:] for name, each in seconds.items()}


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def saved_bytes(direction: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once."""
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        _held = direction()
    return sum(value.untyped_storage().nbytes() for value in kept.values())


def grown_bytes(direction: Run) -> int:
    """By how much a process grows at most when it does this, in a process of its own."""

    def measure(result: Any) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        direction()
        result.value = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

    context = multiprocessing.get_context("fork")
    result = context.Value("q", -1)
    child = context.Process(target=measure, args=(result,))
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"The measured process ended with {child.exitcode}.")
    return result.value


if __name__ == "__main__":
    main()
