"""Measure memory and time of large batches: the loss in blocks, and encoding in chunks.

    python benchmarks/large_batch.py

Loss: InfoNCE of random embeddings of 512 dimensions, computed by open_clip's ClipLoss, by Pairscope's plain
form and by Pairscope's block form. Memory is what autograd saves for the backward pass. Encoding: a training
step of starter:infonce from pixels that encodes the batch at once or in chunks. Memory is the growth of the
process. Everything runs on one thread; the alternatives take turns; time is processor time of both passes,
the median over rounds of the ratio within a round.
"""

import multiprocessing
import resource
from collections.abc import Callable
from typing import Annotated, Any

import torch
import typer
from accelerate import Accelerator
from method_cost import prepare_step, training_step
from open_clip.loss import ClipLoss
from reporting import ResultsOption, report
from results import Column, Row, Table
from timing import Run, alternate, median_ratio, saved_bytes
from torch import Tensor
from torch.nn.functional import normalize

from itr_core.methods.components import info_nce

DIM = 512
MIB = 2**20


def main(
    size: Annotated[list[int] | None, typer.Option(help="Pairs of the loss; repeat for several.")] = None,
    batch_size: Annotated[int, typer.Option(help="Pairs of the training step.")] = 128,
    encode_batch: Annotated[int, typer.Option(help="Pairs that the step encodes at a time.")] = 16,
    rounds: Annotated[int, typer.Option(help="Timed rounds.")] = 5,
    results: ResultsOption = None,
) -> None:
    """Measure memory and time of large batches: the loss in blocks, and encoding in chunks."""
    sizes = size or [1024, 2048, 4096]
    torch.set_num_threads(1)
    step = compare_encoding(batch_size, encode_batch, rounds)  # first: it forks, which must precede threads
    info_nce.LARGE = max(sizes)  # keeps the plain form plain
    columns = {
        "open_clip_memory": Column(title="open_clip: memory", unit="MiB", format=".0f"),
        "plain_memory": Column(title="plain form: memory", unit="MiB", format=".0f"),
        "blocks_memory": Column(title="blocks: memory", unit="MiB", format=".0f"),
        "plain_time": Column(title="time, plain form / open_clip", format=".2f"),
        "blocks_time": Column(title="time, blocks / open_clip", format=".2f"),
        "blocks_time_to_plain": Column(title="time, blocks / plain form", format=".2f"),
    }
    rows = [Row(title=f"{pairs:,}", cells={**compare_losses(pairs, rounds)}) for pairs in sizes]
    tables = {"loss": Table(title="pairs", columns=columns, rows=rows), "step": step}
    report("large_batch", tables, results, [f"One thread; rounds: {rounds}."])


def compare_losses(pairs: int, rounds: int) -> dict[str, float]:
    """Compare three ways to compute InfoNCE for one batch size; returns the cells of a row."""
    image, text = (torch.randn(pairs, DIM).requires_grad_() for _ in range(2))
    scale, ids = torch.tensor(14.3, requires_grad=True), torch.arange(pairs)
    losses: dict[str, Callable[[], Tensor]] = {
        "open_clip": lambda: ClipLoss()(normalize(image, dim=-1), normalize(text, dim=-1), scale),
        "plain": lambda: info_nce.symmetric_info_nce(image, text, scale, ids),
        "blocks": lambda: info_nce.block_info_nce(image, text, scale, ids),
    }
    memory = {f"{name}_memory": saved_bytes(loss) / MIB for name, loss in losses.items()}
    seconds = alternate({name: _both_passes(loss) for name, loss in losses.items()}, rounds)
    return memory | {
        "plain_time": median_ratio(seconds["plain"], seconds["open_clip"]),
        "blocks_time": median_ratio(seconds["blocks"], seconds["open_clip"]),
        "blocks_time_to_plain": median_ratio(seconds["blocks"], seconds["plain"]),
    }


def _both_passes(loss: Callable[[], Tensor]) -> Run:
    return lambda: loss().backward()


def compare_encoding(batch_size: int, encode_batch: int, rounds: int) -> Table:
    """Compare a training step that encodes its batch at once with one that encodes it in chunks."""
    accelerator = Accelerator(cpu=True)
    steps = {
        name: training_step(
            *prepare_step("infonce", {}, batch_size, accelerator, encode_batch=encode_batch_of_step)
        )
        for name, encode_batch_of_step in (("at once", None), ("in chunks", encode_batch))
    }
    grown = {name: grown_bytes(step) for name, step in steps.items()}  # before any backward pass: it forks
    seconds = alternate(steps, rounds)
    columns = {
        "at_once": Column(title="at once", unit="MiB", format=",.0f"),
        "in_chunks": Column(title=f"{encode_batch} at a time", unit="MiB", format=",.0f"),
        "memory": Column(title="memory ratio", format=".2f"),
        "time": Column(title="time ratio", format=".2f"),
    }
    cells = {
        "at_once": grown["at once"] / MIB,
        "in_chunks": grown["in chunks"] / MIB,
        "memory": grown["in chunks"] / grown["at once"],
        "time": median_ratio(seconds["in chunks"], seconds["at once"]),
    }
    return Table(columns=columns, rows=[Row(title=f"step of {batch_size} pairs", cells={**cells})])


def grown_bytes(run: Run) -> int:
    """Return the largest growth of a process that calls `run`, measured in a process of its own."""

    def measure(result: Any) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run()
        result.value = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

    context = multiprocessing.get_context("fork")
    result = context.Value("q", -1)
    child = context.Process(target=measure, args=(result,))
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"The measured process ended with exit status {child.exitcode}.")
    return int(result.value)


if __name__ == "__main__":
    typer.run(main)
