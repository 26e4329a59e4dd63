"""Make a starter model, and hold any model to the yardstick of Picturebook's test split.

    python benchmarks/starter.py make infonce --work runs             # trains; writes assets/models/infonce
    python benchmarks/starter.py make coder --work runs               # continues starter:infonce
    python benchmarks/starter.py measure starter:infonce              # prints the figures of the model card

The yardstick, on 1,000 unseen scenes with 5,000 captions: the full caption of each scene (T2I), one-word
queries for every kind of thing, and queries as people type them ("red car beach night"), judged by truth.
"""

import json
import platform
import shlex
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from method_rows import CHOSEN
from torch.nn import functional as F

from itr_core import DualEncoder, load_encoder, load_pairs, train
from itr_core.encoders.checkpoints import TRAINING_FILE, save
from itr_core.encoders.starter_embeddings import write
from itr_core.metrics import retrieval_metrics
from itr_core.picturebook.captions import kind_queries, telegraphic_queries
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.source import scene_of_id
from itr_core.training.config import TrainConfig
from itr_core.training.trainer import LAST, STATE

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
LEARN = {
    "model": "picturebook-resnet/none",
    "vocab_size": 2048,
    "captions_per_image": 2,
    "lr": 1e-3,
    "eval_every": 500,
    "save_every": 250,
    "seed": 0,
}
# All five captions of a scene at once, so that the shortest, of which each step has drawn few, count more.
REFINE = {
    "captions_per_image": 5,
    "max_steps": 350,
    "lr": 4e-4,
    "eval_every": 350,
    "save_every": 350,
    "seed": 1,
}
# What is still missed are small things: they get more pixels.
SIDE = 192
ENLARGED = {
    "captions_per_image": 3,
    "max_steps": 2200,
    "lr": 7e-4,
    "eval_every": 550,
    "save_every": 275,
    "seed": 2,
}
# That is starter:infonce. From there every method has the same budget, InfoNCE as infonce-continued, so
# that they can be compared.
CONTINUED = {
    "model": "starter:infonce",
    "source": "picturebook:train@20000",
    "max_steps": 300,
    "lr": 2e-4,
    "eval_every": 100,
    "save_every": 100,
    "seed": 3,
}
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command()
def make(
    starter: Annotated[str, typer.Argument(help="infonce, infonce-continued, crcgs, coder, ascl or cusa.")],
    work: Annotated[Path, typer.Option(help="Folder of the runs: logs, states, full-precision weights.")],
    scenes: Annotated[int, typer.Option(help="Training scenes, each with five captions.")] = 60_000,
    steps: Annotated[int, typer.Option(help="Optimiser steps of the first training.")] = 4_000,
    workers: Annotated[int, typer.Option(help="Processes that draw and load.")] = 2,
) -> None:
    """Train a starter on Picturebook and ship it in half precision, with its figures in the card.

    All others continue starter:infonce for as many steps by their own method. What is in `work` already goes
    on where it was stopped.
    """
    common = COMMON | {"source": f"picturebook:train@{scenes}", "workers": workers}

    def run(name: str, method: str, **settings: Any) -> Path:
        out = work / name
        train(method, out=out, resume=(out / STATE).exists(), **common | settings)
        return out

    if starter != "infonce":
        method = starter.removesuffix("-continued")
        ship(
            starter,
            run(f"{method}-continued", method, options=CHOSEN["picturebook"].get(method, {}), **CONTINUED),
        )
        return
    learnt = run("infonce", "infonce", **LEARN, max_steps=steps)
    refined = run("infonce-terse", "infonce", model=f"local-dir:{learnt / LAST}", **REFINE)
    larger = enlarge(refined, work / f"infonce-terse-{SIDE}", SIDE)
    ship(starter, run(f"infonce-{SIDE}", "infonce", model=f"local-dir:{larger}", **ENLARGED))


@app.command("enlarge")
def enlarge(
    folder: Path, larger: Path, side: Annotated[int, typer.Argument(help="Pixels, a multiple of 32.")]
) -> Path:
    """Let a CLIP ResNet see larger pictures: the positions of its last pooling are interpolated."""
    small = load_encoder(f"local-dir:{folder}", device="cpu")
    pooling = small.model.visual.attnpool
    mean, grid = pooling.positional_embedding.data.split([1, len(pooling.positional_embedding) - 1])
    cells = round(len(grid) ** 0.5)
    square = grid.T.reshape(1, -1, cells, cells)
    grid = F.interpolate(square, size=(side // 32, side // 32), mode="bicubic").flatten(2)[0].T
    pooling.positional_embedding.data = torch.cat([mean, grid])
    small.config["model_cfg"]["vision_cfg"]["image_size"] = side
    record = {"enlarged": side, "config": {"model": f"local-dir:{folder}"}, "seconds": 0}
    save(larger, small.model, small.tokenizer, small.config, words=small.words, training=record)
    return larger


@app.command()
def ship(method: str, work: Path) -> None:
    """Store the run's best weights in half precision under assets/models, measure them, write the card."""
    trained = load_encoder(f"local-dir:{work}", device="cpu")
    stages = history(work)
    half = {"dtype": "float16", "words": trained.words, "training": {"stages": stages}}
    save(MODELS / method, trained.model, trained.tokenizer, trained.config, **half)
    figures = yardstick(load_encoder(f"starter:{method}", device="cpu"))
    half["training"]["yardstick"] = {name: round(value, 2) for name, value in figures.items()}
    text = card(method, stages, figures)
    save(MODELS / method, trained.model, trained.tokenizer, trained.config, **half, card=text)
    if method == "infonce":
        remember()


@app.command()
def remember() -> None:
    """Keep the embeddings of the demo's gallery beside the model that it is searched with."""
    write(
        load_encoder("starter:infonce", device="cpu"), load_pairs("picturebook:gallery"), MODELS / "infonce"
    )


def history(work: Path) -> list[dict[str, Any]]:
    """The records of the runs that led to the model in `work`, first to last, each called runs/NAME."""
    record = json.loads((work / TRAINING_FILE).read_text(encoding="utf-8"))
    record["out"] = _called(work.parent if work.name == LAST else work)
    before, _, folder = record["config"]["model"].partition("local-dir:")
    if before or not folder:
        return [record]
    record["config"]["model"] = f"local-dir:{_called(Path(folder))}"
    return [*history(Path(folder)), record]


def _called(folder: Path) -> str:
    return "/".join(["runs", *folder.parts[-2 if folder.name == LAST else -1 :]])


def command(record: dict[str, Any]) -> str:
    """The command line of one stage, of a run what differs from the defaults."""
    if "enlarged" in record:
        before = record["config"]["model"].removeprefix("local-dir:")
        return f"python benchmarks/starter.py enlarge {before} {record['out']} {record['enlarged']}"
    usual = TrainConfig("", "", "").as_json()
    words = ["pairscope", "train", "--out", record["out"]]
    for name, value in record["config"].items():
        if value == usual[name] or name in ("device", "workers"):
            continue
        given = (
            [f"{key}={json.dumps(of)}" for key, of in value.items()] if name == "options" else [str(value)]
        )
        words += [word for text in given for word in (f"--{name.replace('_', '-')}", text)]
    return f"{shlex.join(words)}   # kept: step {record['step']:,}"


@app.command()
def measure(model: Annotated[str, typer.Argument(help="Model spec.")] = "starter:infonce") -> None:
    """Print the yardstick's figures as JSON."""
    print(json.dumps(yardstick(load_encoder(model)), indent=2))


def yardstick(encoder: DualEncoder) -> dict[str, float]:
    """Percentages on `picturebook:test`.

    full_*: each scene's fullest caption against all images. kinds_p10: of the first 10 pictures for a kind's
    bare name (as many as exist, for a kind with fewer), how many contain it; mean over kinds. typed_top5: of
    100 typed queries, how many have a picture among the first 5 in which every fact is right. And the
    standard metrics.
    """
    pairs = load_pairs("picturebook:test")
    scenes = [scene_of_id(image_id) for image_id in pairs.image_ids]
    images = encoder.encode_images(pairs.image(index) for index in range(len(pairs)))
    texts, image_of_caption = pairs.flat_captions()
    standard = retrieval_metrics(images @ encoder.encode_texts(texts).T, image_of_caption)
    fullest = encoder.encode_texts([captions[-1] for captions in pairs.captions])
    full = retrieval_metrics(images @ fullest.T, np.arange(len(pairs)))

    kinds = kind_queries()
    true = SceneRelevance(scenes, [query.meaning for query in kinds]).matrix()
    best = (images @ encoder.encode_texts([query.text for query in kinds]).T).argsort(axis=0)[::-1]
    found = [
        true[best[: min(10, true[:, kind].sum()), kind], kind].mean()
        for kind in range(len(kinds))
        if true[:, kind].any()
    ]
    typed = telegraphic_queries(scenes)
    true = SceneRelevance(scenes, [query.meaning for query in typed]).matrix()
    best = (images @ encoder.encode_texts([query.text for query in typed]).T).argsort(axis=0)[::-1][:5]
    return {
        "full_t2i_r1": full["t2i_r1"],
        "full_t2i_r10": full["t2i_r10"],
        "kinds_p10": 100 * float(np.mean(found)),
        "typed_top5": 100 * float(np.take_along_axis(true, best, axis=0).any(axis=0).mean()),
        **standard,
    }


def card(method: str, stages: list[dict[str, Any]], figures: dict[str, float]) -> str:
    """The model card: data, seed, wall time, device, figures, and the commands that made them."""
    last = stages[-1]
    return CARD.read_text(encoding="utf-8").format(
        method=method,
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
