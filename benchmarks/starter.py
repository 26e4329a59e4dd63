"""Train, ship and measure the starter models.

python benchmarks/starter.py make infonce --work runs     # trains; writes assets/models/infonce
python benchmarks/starter.py make coder --work runs       # continues starter:infonce
python benchmarks/starter.py measure starter:infonce      # prints the figures of the model card
"""

import json
import platform
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from method_rows import CHOSEN
from reporting import ResultsOption, report
from results import Column, Measurement, Row, Table
from torch.nn import functional as F
from train_command import train_command
from typed_queries import found_of_true, read_queries
from yardstick import GOALS, TITLES, yardstick

from itr_core import evaluate, load_encoder, load_pairs, train
from itr_core.encoders.checkpoints import TRAINING_FILE, save
from itr_core.encoders.checksums import LAST, STATE, write_checksums
from itr_core.encoders.starter_embeddings import write_embeddings

CARD = Path(__file__).with_name("starter_card.md")
MODELS = Path(__file__).parents[1] / "assets" / "models"
# Chosen for two CPU cores; on a GPU the same commands take minutes.
COMMON: dict[str, Any] = {
    "precision": "bf16",
    "validation": "picturebook:val",
    "batch_size": 128,
    "warmup": 0.04,
    "crop": 0.06,
}
FIRST_STAGE: dict[str, Any] = {
    "model": "picturebook-resnet/none",
    "vocab_size": 2048,
    "captions_per_image": 2,
    "lr": 1e-3,
    "eval_every": 500,
    "save_every": 250,
    "seed": 0,
}
# All five captions of a scene at once: the first stage drew the shortest ones too rarely.
ALL_CAPTIONS_STAGE: dict[str, Any] = {
    "captions_per_image": 5,
    "max_steps": 350,
    "lr": 4e-4,
    "eval_every": 350,
    "save_every": 350,
    "seed": 1,
}
# The objects still missed were small: larger images help where more steps did not.
SIDE = 192
LARGE_IMAGE_STAGE: dict[str, Any] = {
    "captions_per_image": 3,
    "max_steps": 2200,
    "lr": 7e-4,
    "eval_every": 550,
    "save_every": 275,
    "seed": 2,
}
# From starter:infonce every method gets the same budget, InfoNCE too (infonce-continued), for comparison.
CONTINUED: dict[str, Any] = {
    "model": "starter:infonce",
    "source": "picturebook:train@20000",
    "max_steps": 300,
    "lr": 2e-4,
    "eval_every": 100,
    "save_every": 100,
    "seed": 3,
}
STARTERS = ("infonce", "infonce-continued", "crcgs", "coder", "ascl", "cusa")
EXACT = {
    "t2i_r1": "T2I R@1 over the given pairs",
    "exact_t2i_r1": "T2I R@1 over all true pairs",
    "exact_t2i_false_negatives": "misses at rank 1 that are false negatives",
}
app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


@app.command()
def make(
    starter: Annotated[str, typer.Argument(help=", ".join(STARTERS) + ".")],
    work: Annotated[Path, typer.Option(help="Folder of the runs: logs, states, full-precision weights.")],
    scenes: Annotated[int, typer.Option(help="Training scenes, each with five captions.")] = 60_000,
    steps: Annotated[int, typer.Option(help="Optimiser steps of the first stage.")] = 4_000,
    workers: Annotated[int, typer.Option(help="Processes that draw and load images.")] = 2,
) -> None:
    """Train a starter on Picturebook and write it, in half precision and with its card, to assets/models.

    All starters but infonce continue starter:infonce by their own method, for the same number of steps. Runs
    that were stopped resume.
    """
    common = COMMON | {"source": f"picturebook:train@{scenes}", "workers": workers}

    def run(name: str, method: str, **settings: Any) -> Path:
        out = work / name
        train(method, out=out, resume=(out / STATE).exists(), **common | settings)
        return out

    if starter != "infonce":
        method = starter.removesuffix("-continued")
        options = CHOSEN["picturebook"].get(method, {})
        ship(starter, run(f"{method}-continued", method, options=options, **CONTINUED))
        return
    first = run("infonce", "infonce", **FIRST_STAGE, max_steps=steps)
    second = run("infonce-terse", "infonce", model=f"local-dir:{first / LAST}", **ALL_CAPTIONS_STAGE)
    larger = enlarge(second, work / f"infonce-terse-{SIDE}", SIDE)
    ship(starter, run(f"infonce-{SIDE}", "infonce", model=f"local-dir:{larger}", **LARGE_IMAGE_STAGE))


@app.command()
def enlarge(
    folder: Annotated[Path, typer.Argument(help="Checkpoint of a CLIP ResNet.")],
    larger: Annotated[Path, typer.Argument(help="Checkpoint to write.")],
    side: Annotated[int, typer.Argument(help="New image size in pixels, a multiple of 32.")],
) -> Path:
    """Raise the image size of a CLIP ResNet by interpolating the positions of its attention pooling."""
    small = load_encoder(f"local-dir:{folder}", device="cpu")
    visual: Any = small.model.visual
    pooling = visual.attnpool
    mean, grid = pooling.positional_embedding.data.split([1, len(pooling.positional_embedding) - 1])
    cells = round(len(grid) ** 0.5)
    square = grid.T.reshape(1, -1, cells, cells)  # (1, width, cells, cells)
    grid = F.interpolate(square, size=(side // 32, side // 32), mode="bicubic").flatten(2)[0].T
    pooling.positional_embedding.data = torch.cat([mean, grid])
    small.config["model_cfg"]["vision_cfg"]["image_size"] = side
    record = {"enlarged": side, "config": {"model": f"local-dir:{folder}"}, "seconds": 0}
    save(larger, small.model, small.tokenizer, small.config, words=small.words, training=record)
    return larger


@app.command()
def ship(
    starter: Annotated[str, typer.Argument(help="Name under assets/models.")],
    work: Annotated[Path, typer.Argument(help="Folder of the run.")],
) -> None:
    """Store a run's best weights in half precision under assets/models, measure them, write the card."""
    trained = load_encoder(f"local-dir:{work}", device="cpu")
    stages = history(work)
    record: dict[str, Any] = {"stages": stages}
    folder = MODELS / starter
    model, tokenizer, config = trained.model, trained.tokenizer, trained.config
    save(folder, model, tokenizer, config, dtype="float16", words=trained.words, training=record)
    figures = yardstick(load_encoder(f"starter:{starter}", device="cpu"))  # of the weights as stored
    record["yardstick"] = {name: round(value, 2) for name, value in figures.items()}
    text = card(starter, stages, figures)
    save(folder, model, tokenizer, config, dtype="float16", words=trained.words, training=record, card=text)
    if starter == "infonce":
        embed_gallery()


@app.command()
def embed_gallery() -> None:
    """Store the embeddings of the demo gallery beside starter:infonce, so that a first start is fast."""
    folder = MODELS / "infonce"
    write_embeddings(load_encoder("starter:infonce", device="cpu"), load_pairs("picturebook:gallery"), folder)
    write_checksums(folder)


def history(work: Path) -> list[dict[str, Any]]:
    """Return the records of the runs that led to the model in `work`, first to last, renamed to runs/NAME."""
    record = json.loads((work / TRAINING_FILE).read_text(encoding="utf-8"))
    record["out"] = _short_name(work.parent if work.name == LAST else work)
    before, _, folder = record["config"]["model"].partition("local-dir:")
    if before or not folder:
        return [record]
    record["config"]["model"] = f"local-dir:{_short_name(Path(folder))}"
    return [*history(Path(folder)), record]


def _short_name(folder: Path) -> str:
    return "/".join(["runs", *folder.parts[-2 if folder.name == LAST else -1 :]])


def command(record: dict[str, Any]) -> str:
    """Return the command line of one stage."""
    if "enlarged" in record:
        before = record["config"]["model"].removeprefix("local-dir:")
        return f"python benchmarks/starter.py enlarge {before} {record['out']} {record['enlarged']}"
    return f"{train_command(record['config'], record['out'])}   # kept: step {record['step']:,}"


@app.command()
def measure(
    model: Annotated[list[str] | None, typer.Argument(help="Model specs; by default all starters.")] = None,
    results: ResultsOption = None,
) -> None:
    """Measure models on picturebook:test: the figures of the model card, and R@1 by exact relevance."""
    specs = model or [f"starter:{name}" for name in STARTERS]
    pairs = load_pairs("picturebook:test")
    cells: dict[str, dict[str, float]] = {name: {} for name in TITLES}
    exact = []
    for spec in specs:
        encoder = load_encoder(spec)
        for name, value in yardstick(encoder).items():
            cells[name][spec] = value
        found = evaluate(encoder, pairs, protocols=("standard", "exact"))
        by_name = dict(zip(found, found["rows"], strict=False))  # its first keys are the names of the rows
        exact.append(
            Row(
                title=spec,
                cells={
                    name: Measurement(
                        value=by_name[name]["value"], low=by_name[name]["low"], high=by_name[name]["high"]
                    )
                    for name in EXACT
                },
            )
        )
    columns = {spec: Column(title=spec) for spec in specs} | {"goal": Column(title="goal", format=".0f")}
    rows = []
    for name, title in TITLES.items():
        goal = {"goal": GOALS[name]} if name in GOALS else {}
        rows.append(Row(title=title, cells={**cells[name], **goal}))
    exact_columns = {name: Column(title=title) for name, title in EXACT.items()}
    tables = {
        "yardstick": Table(columns=columns, rows=rows),
        "exact": Table(title="model", columns=exact_columns, rows=exact),
    }
    report("starters", tables, results)


@app.command()
def typed(
    model: Annotated[
        list[str] | None, typer.Argument(help="Model specs; by default starter:infonce.")
    ] = None,
    drawn: Annotated[
        bool, typer.Option(help="Also measure the drawn queries: only for a final model.")
    ] = False,
    results: ResultsOption = None,
) -> None:
    """Measure typed queries in the demo gallery: true images among the first 12 / min(12, all true)."""
    queries = [query for query in read_queries() if drawn or not query.drawn]
    rows: dict[str, dict[str, float]] = {}
    specs = model or ["starter:infonce"]
    for spec in specs:
        counts: dict[str, list[tuple[int, int]]] = {}
        for query, count in zip(queries, found_of_true(load_encoder(spec), queries), strict=True):
            group = "drawn by rule" if query.drawn else "written by hand"
            for title in (query.kind, group, "all"):
                counts.setdefault(title, []).append(count)
        for title, pairs in counts.items():
            found, true = map(sum, zip(*pairs, strict=True))
            rows.setdefault(title, {"queries": len(pairs)})[spec] = 100 * found / true
    columns = {"queries": Column(title="queries", format=".0f")} | {
        spec: Column(title=spec) for spec in specs
    }
    order = sorted(rows, key=lambda title: (title == "all", title.endswith(("hand", "rule"))))
    table = Table(title="kind", columns=columns, rows=[Row(title=t, cells=rows[t]) for t in order])
    report("starter_typed", {"typed": table}, results)


def card(starter: str, stages: list[dict[str, Any]], figures: dict[str, float]) -> str:
    """Return the model card: data, commands, time, device and figures."""
    last = stages[-1]
    return CARD.read_text(encoding="utf-8").format(
        method=starter,
        source=last["config"]["source"],
        validation=last["config"]["validation"],
        commands="\n".join(map(command, stages)),
        out=last["out"],
        rows="\n".join(f"| {name} | {value:.2f} |" for name, value in figures.items()),
        minutes=round(sum(stage["seconds"] for stage in stages) / 60),
        machine=f"{last['device']}, {torch.get_num_threads()} threads, {platform.machine()}",
    )


if __name__ == "__main__":
    app()
