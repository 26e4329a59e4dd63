"""Time text encoding against open_clip's own tokenizer and `encode_text`.

    python benchmarks/text_encoding.py --threads 1 --runtime openvino --int8

Both encode the same strings to unit vectors: a batch of 64 captions of 8 to 14 words, and single queries. The
weights of the default model are random, because speed does not depend on them. The two implementations
alternate; every figure is a median over rounds of processor time (of time by the clock for an export), and
the ratio is taken within a round. `--threads` limits the process to as many cores. Captions that begin with
the same words are encoded faster; these do.
"""

import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from image_encoding import exported
from reporting import ResultsOption, report
from results import Column, Row, Table
from timing import alternate, median_ratio
from torch.nn import functional as F

from itr_core import DualEncoder, load_encoder
from itr_core.encoders import Encoder
from itr_core.runtimes.encoder import ExportedEncoder
from itr_core.runtimes.export import export

SUBJECTS = [
    "A brown dog",
    "Two young children",
    "An old man in a hat",
    "The woman",
    "Three cyclists",
    "A small bird",
]
VERBS = [
    "is running across",
    "are playing on",
    "sits quietly near",
    "jumps over",
    "walks slowly along",
    "looks at",
]
PLACES = [
    "the sandy beach",
    "a busy street",
    "the green park",
    "a snowy mountain",
    "the wooden bridge",
    "a calm lake",
]
REST = [
    "in the afternoon",
    "while it rains",
    "with a red ball",
    "as the sun goes down behind the hills",
    "at night",
    "",
]


def main(
    model: Annotated[str, typer.Option(help="Model spec.")] = "ViT-B-32/none",
    threads: Annotated[
        int | None, typer.Option(help="Threads; by default those that torch and the runtime choose.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Timed rounds.")] = 9,
    runtime: Annotated[
        str | None, typer.Option(help="Also time an fp32 export, for openvino or onnx.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Also time an int8 export for the runtime.")] = False,
    results: ResultsOption = None,
) -> None:
    """Time text encoding against open_clip's own tokenizer and `encode_text`."""
    if int8 and not runtime:
        raise typer.BadParameter("--int8 needs --runtime.")
    if threads is not None:
        torch.set_num_threads(threads)
        if hasattr(os, "sched_setaffinity"):  # an export uses all cores that its process may use
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    encoder = load_encoder(model, device="cpu")
    texts, rows = captions(64), []
    with tempfile.TemporaryDirectory() as scratch:
        timed: dict[str, Encoder] = {"": encoder}
        if runtime:
            export(encoder, Path(scratch) / "export", runtime)
            timed[f", {runtime}"] = ExportedEncoder(Path(scratch) / "export")
            if int8:
                timed[f", {runtime} in int8"] = exported(encoder, Path(scratch) / "int8", runtime)
        for suffix, ours in timed.items():
            batch = compare(encoder, texts, rounds, ours)
            single = [compare(encoder, [text], rounds, ours) for text in texts[:8]]
            query = {key: statistics.median(run[key] for run in single) for key in single[0]}
            rows.append(Row(title=f"batch of 64 captions{suffix}", cells={**batch}))
            rows.append(Row(title=f"one query{suffix}", cells={**query}))
    columns = {
        "open_clip": Column(title="open_clip", unit="ms"),
        "pairscope": Column(title="Pairscope", unit="ms"),
        "ratio": Column(title="open_clip / Pairscope"),
        "difference": Column(title="largest difference of an embedding", format=".1e"),
    }
    clock = f"processor time{f', of {runtime} time by the clock' if runtime else ''}"
    notes = [f"{model}; threads: {torch.get_num_threads()}; {clock}; median over rounds: {rounds}."]
    report("text_encoding", {"speed": Table(columns=columns, rows=rows)}, results, notes)


def captions(count: int, seed: int = 0) -> list[str]:
    """Return that many different captions of 8 to 14 words."""
    rng, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        text = " ".join(rng.choice(part) for part in (SUBJECTS, VERBS, PLACES, REST)).strip() + "."
        if 8 <= len(text.split()) <= 14:
            found[text] = None
    return list(found)


def encode_with_open_clip(encoder: DualEncoder, texts: list[str]) -> np.ndarray:
    """Encode texts as open_clip's README does; returns unit vectors (len(texts), d) float32."""
    with torch.no_grad():
        features = encoder.model.encode_text(encoder.tokenizer(texts))
        return F.normalize(features, dim=-1).numpy()


def compare(
    encoder: DualEncoder, texts: list[str], rounds: int, ours: Encoder | None = None
) -> dict[str, float]:
    """Time both implementations; `ours` is the encoder in another runtime.

    Returns:
        `open_clip` and `pairscope`, milliseconds; their `ratio`; `difference`, the largest absolute
        difference between components of their embeddings.
    """
    timed: Encoder = ours or encoder
    embeddings, theirs = timed.encode_texts(texts), encode_with_open_clip(encoder, texts)
    seconds = alternate(
        {
            "open_clip": lambda: encode_with_open_clip(encoder, texts),
            "pairscope": lambda: timed.encode_texts(texts),
        },
        rounds,
        warm_up=0,  # both have just run
        # Other runtimes wait in their threads, so their processor time says little.
        clock=time.perf_counter if ours and ours is not encoder else time.process_time,
    )
    return {name: 1e3 * statistics.median(each) for name, each in seconds.items()} | {
        "ratio": median_ratio(seconds["open_clip"], seconds["pairscope"]),
        "difference": float(np.abs(embeddings - theirs).max()),
    }


if __name__ == "__main__":
    typer.run(main)
