"""Measure binary codes of models trained with and without the generative terms of CRCGS, at equal steps.

    python benchmarks/hash_codes.py --out runs/hash
    python benchmarks/hash_codes.py --out runs/hash --steps 1500 --seeds 3 --images 10000

The paper claims that the generative terms improve the codes over the same objective without them. Every row
continues starter:infonce on cached features of its image trunk, with the true labels of Picturebook. Codes
are then trained on four fifths of the test pictures; the others are queries (see `pairscope hash`). A model
that is already in the folder --out is not trained again.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from reporting import ResultsOption, report
from results import Column, Measurement, Row, Table

from itr_core import load_encoder, load_pairs, train
from itr_core.hashing.evaluate import evaluate_codes

WITHOUT: dict[str, Any] = {"w_t": 0.0, "w_c": 0.0, "w_ss": 0.0}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "labels": ("crcgs", {"w_infonce": 0.0} | WITHOUT),
    "labels, generative terms": ("crcgs", {"w_infonce": 0.0}),
    "InfoNCE": ("infonce", {}),
    "InfoNCE, labels": ("crcgs", WITHOUT),
    "InfoNCE, labels, generative terms": ("crcgs", {}),
}
"""Name of a row -> method and options; `labels` are the terms of L_o."""
SETTINGS: dict[str, Any] = {
    "model": "starter:infonce",
    "image_features": "cache",
    "labels": "source",
    "batch_size": 80,
    "lr": 2e-4,
    "progress": False,
}


def main(
    out: Annotated[Path, typer.Option(help="Folder of the trained models.")],
    steps: Annotated[int, typer.Option(help="Steps of each training.")] = 300,
    images: Annotated[int, typer.Option(help="Training pictures.")] = 2000,
    test_images: Annotated[
        int, typer.Option(help="Pictures that the codes are trained and tested on.")
    ] = 1000,
    bits: Annotated[int, typer.Option(help="Length of the codes, a multiple of 8.")] = 32,
    seeds: Annotated[int, typer.Option(help="Trainings of each row.")] = 1,
    row: Annotated[
        list[str] | None, typer.Option(help="Row of the table; repeat for several. Default: all.")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Measure binary codes of models trained with and without the generative terms of CRCGS."""
    names = row or list(ROWS)
    if unknown := set(names) - set(ROWS):
        raise typer.BadParameter(f"There is no row {unknown.pop()!r}; rows are {', '.join(map(repr, ROWS))}.")
    pairs = load_pairs(f"picturebook:test@{test_images}")
    rows = []
    for name in names:
        method, options = ROWS[name]
        found = []
        for seed in range(seeds):
            folder = out / f"{name}-{steps}-{images}-{seed}".replace(",", "").replace(" ", "-")
            if not (folder / "training.json").exists():
                source = f"picturebook:train@{images}"
                run: dict[str, Any] = {"max_steps": steps, "seed": seed, "options": options} | SETTINGS
                train(method, source, out=folder, resume=(folder / "state.safetensors").exists(), **run)
            measured = evaluate_codes(load_encoder(str(folder)), pairs, bits=bits, labels="source")
            found.append(
                {
                    f"{space}_{direction}": measured[space][direction]["map@all"]
                    for space in ("codes", "embeddings")
                    for direction in ("t2i", "i2t")
                }
            )
        cells = {key: _over_seeds([each[key] for each in found]) for key in found[0]}
        rows.append(Row(title=name, cells=cells))
    columns = {
        f"{space}_{direction}": Column(title=f"{direction.upper()} label mAP, {space}")
        for space in ("codes", "embeddings")
        for direction in ("t2i", "i2t")
    }
    table = Table(title="trained with", columns=columns, rows=rows)
    notes = [
        f"{bits} bits; {steps} steps of 80 pairs of picturebook:train@{images}; trainings of each row: "
        f"{seeds}; codes trained and tested on picturebook:test@{test_images}, whole ranking.",
    ]
    report("hash_codes", {"label_map": table}, results, notes)


def _over_seeds(values: list[float]) -> Measurement:
    """Return the mean and, of several seeds, the standard deviation."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Measurement(value=float(np.mean(values)), spread=spread)


if __name__ == "__main__":
    typer.run(main)
