"""Train, ship and measure the starter models.

python benchmarks/starter.py make infonce --work runs     # trains; writes assets/models/infonce
python benchmarks/starter.py make coder --work runs       # continues starter:infonce
python benchmarks/starter.py measure starter:infonce      # prints the figures of the model card
"""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer
from packed_gallery import pack
from reporting import ResultsOption, report
from results import Column, Measurement, Row, Table
from starter_runs import (
    ABOUT,
    CONTINUED_STARTERS,
    SCENES_WITHOUT_COLOURS,
    STARTERS,
    deepen,
    enlarge,
    trained,
    without_colours,
)
from train_command import train_command
from typed_queries import GOALS as TYPED_GOALS
from typed_queries import found_of_true, read_queries
from yardstick import GOALS, TITLES, yardstick

from analysis.gallery_analysis import GalleryAnalysis
from analysis.ready_made import ship as ship_results
from itr_core import evaluate, load_encoder, load_pairs
from itr_core.encoders.checkpoints import TRAINING_FILE, save
from itr_core.encoders.checksums import LAST
from itr_core.encoders.loading import starters
from itr_core.gallery import Gallery
from itr_core.picturebook.source import TABLES, table_name, write_table
from itr_core.picturebook.splits import split_named

CARD = Path(__file__).with_name("starter_card.md")
MODELS = Path(__file__).parents[1] / "assets" / "models"
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

    Runs that were stopped resume. `starter_runs.py` has the settings.
    """
    ship(starter, trained(starter, work, f"picturebook:train@{scenes}", steps, workers))


@app.command("enlarge")
def enlarge_checkpoint(
    folder: Annotated[Path, typer.Argument(help="Checkpoint of a CLIP ResNet.")],
    larger: Annotated[Path, typer.Argument(help="Checkpoint to write.")],
    side: Annotated[int, typer.Argument(help="New image size in pixels, a multiple of 32.")],
) -> None:
    """Raise the image size of a CLIP ResNet by interpolating the positions of its attention pooling."""
    enlarge(folder, larger, side)


@app.command("deepen")
def deepen_checkpoint(
    folder: Annotated[Path, typer.Argument(help="Checkpoint of a CLIP ResNet with one block in each stage.")],
    deeper: Annotated[Path, typer.Argument(help="Checkpoint to write.")],
) -> None:
    """Add blocks to a CLIP ResNet and dimensions to the joint space, as `starter_runs.py` sets them."""
    deepen(folder, deeper)


@app.command("without-colours")
def write_without_colours(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    scenes: Annotated[int, typer.Argument(help="Number of training scenes.")],
) -> None:
    """Write training scenes of Picturebook whose captions have no word for a colour, as parquet."""
    without_colours(out, scenes)


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
    text = card(starter, config["model_cfg"]["vision_cfg"]["image_size"], stages, figures)
    save(folder, model, tokenizer, config, dtype="float16", words=trained.words, training=record, card=text)
    if starter == "infonce":
        pack_gallery()
        analyse_gallery()


@app.command()
def pack_gallery() -> None:
    """Store the demo gallery and its table under assets, so that a first start draws and encodes nothing."""
    for outdated in TABLES.glob("*.parquet"):
        outdated.unlink()
    size = split_named("gallery").size
    write_table("gallery", size, TABLES / table_name("gallery", size))
    pack(load_pairs("picturebook:gallery"), load_encoder("starter:infonce", device="cpu"))


@app.command()
def analyse_gallery() -> None:
    """Store the analysis of the demo gallery under assets/analysis, so that its pages open at once."""
    encoder = load_encoder("starter:infonce", device="cpu")
    with TemporaryDirectory() as folder:
        gallery = Gallery.build(load_pairs("picturebook:gallery"), encoder, Path(folder) / "gallery")
        analysis = GalleryAnalysis(gallery)
        analysis.results.ready_made = None  # what is shipped now is not the source of what will be
        analysis.prepare()
        analysis.compared()
        analysis.truncated(encoder)
        analysis.probe_accuracy(encoder)
        analysis.report_card(encoder)
        ship_results(analysis.results, gallery.manifest)


def history(work: Path) -> list[dict[str, Any]]:
    """Return the records of the runs that led to the model in `work`, first to last, renamed to runs/NAME."""
    record = json.loads((work / TRAINING_FILE).read_text(encoding="utf-8"))
    if "stages" in record:  # of a shipped model
        return list(record["stages"])
    record["out"] = _short_name(work.parent if work.name == LAST else work)
    source = record["config"].get("source", "")
    if source.startswith("parquet:"):
        record["config"]["source"] = f"parquet:{_short_name(Path(source))}"
    scheme, _, name = record["config"]["model"].partition(":")
    if scheme not in ("local-dir", "starter"):
        return [record]
    earlier = history(Path(name) if scheme == "local-dir" else MODELS / name)
    record["config"]["model"] = f"local-dir:{earlier[-1]['out']}"
    return [*earlier, record]


def _short_name(folder: Path) -> str:
    return "/".join(["runs", *folder.parts[-2 if folder.name == LAST else -1 :]])


def command(record: dict[str, Any]) -> str:
    """Return the commands of one stage."""
    if "enlarged" in record:
        before = record["config"]["model"].removeprefix("local-dir:")
        return f"python benchmarks/starter.py enlarge {before} {record['out']} {record['enlarged']}"
    if "deepened" in record:
        before = record["config"]["model"].removeprefix("local-dir:")
        return f"python benchmarks/starter.py deepen {before} {record['out']}"
    if "untrained" in record:
        return f"python benchmarks/starter.py make {Path(record['out']).name} --work runs"
    training = f"{train_command(record['config'], record['out'])}   # kept: step {record['step']:,}"
    source = record["config"]["source"]
    if source.startswith("parquet:"):
        folder = source.removeprefix("parquet:")
        return f"python benchmarks/starter.py without-colours {folder} {SCENES_WITHOUT_COLOURS}\n{training}"
    return training


@app.command()
def measure(
    model: Annotated[
        list[str] | None, typer.Argument(help="Model specs; by default all starters that exist.")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Measure models on picturebook:test: the figures of the model card, and R@1 by exact relevance."""
    shipped = starters()
    specs = model or [spec for name in STARTERS if (spec := f"starter:{name}") in shipped]
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
    small = [spec for spec in specs if spec.startswith("starter:small")]
    tables = {}
    if large := [spec for spec in specs if spec not in small]:
        tables["yardstick"] = _of_yardstick(cells, large, GOALS)
    if small:
        tables["small"] = _of_yardstick(cells, small, {})
    exact_columns = {name: Column(title=title) for name, title in EXACT.items()}
    tables["exact"] = Table(title="model", columns=exact_columns, rows=exact)
    report("starters", tables, results)


def _of_yardstick(cells: dict[str, dict[str, float]], specs: list[str], goals: Mapping[str, float]) -> Table:
    """Return the figures of some models beside the goals."""
    columns = {spec: Column(title=spec) for spec in specs}
    if goals:
        columns["goal"] = Column(title="goal", format=".0f")
    rows = []
    for name, title in TITLES.items():
        found = {spec: cells[name][spec] for spec in specs}
        rows.append(Row(title=title, cells=found | ({"goal": goals[name]} if name in goals else {})))
    return Table(columns=columns, rows=rows)


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
    for title in rows.keys() & TYPED_GOALS.keys():
        rows[title]["goal"] = TYPED_GOALS[title]
    columns = {
        "queries": Column(title="queries", format=".0f"),
        **{spec: Column(title=spec) for spec in specs},
        "goal": Column(title="goal", format=".0f"),
    }
    order = sorted(rows, key=lambda title: (title == "all", title.endswith(("hand", "rule"))))
    table = Table(title="kind", columns=columns, rows=[Row(title=t, cells=rows[t]) for t in order])
    report("starter_typed", {"typed": table}, results)


def card(starter: str, side: int, stages: list[dict[str, Any]], figures: dict[str, float]) -> str:
    """Return the model card: data, commands, time, device and figures."""
    last = stages[-1]
    source, validation = last["config"]["source"], last["config"]["validation"]
    minutes = round(sum(stage["seconds"] for stage in stages) / 60)
    machine = f"{last['device']}, {torch.get_num_threads()} threads, {platform.machine()}"
    if "untrained" in last:
        data = f"The weights are random; the tokenizer is made from the captions of `{source}`."
    else:
        kept = f"Checkpoint selected on `{validation}` by rSum."
        if starter in CONTINUED_STARTERS:
            kept = "Weights of the last step."
        data = (
            f"Data: `{source}`; each step samples some of the texts of each scene. {kept}\n"
            f"{minutes} minutes of training ({machine})."
        )
    return CARD.read_text(encoding="utf-8").format(
        starter=starter,
        about=ABOUT[starter],
        side=side,
        data=data,
        commands="\n".join(map(command, stages)),
        out=f"{last['out']}/{LAST}" if starter in CONTINUED_STARTERS else last["out"],
        rows="\n".join(f"| {name} | {value:.2f} |" for name, value in figures.items()),
    )


if __name__ == "__main__":
    app()
