"""Tables of the comparison of methods, from what was measured query by query."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from flickr8k import settings_of
from method_metrics import COLUMNS, Queries
from method_rows import (
    ALL_ROWS,
    COMPARISONS,
    ENSEMBLE,
    FROM_PIXELS,
    Setting,
    baseline,
    chosen,
    main_rows,
)
from results import Column, Estimate, Measurement, Row, Table
from train_command import train_command

from itr_core.metrics.bootstrap import interval, resampled

Runs = Sequence[Queries]
"""The trainings of one row, by seed."""
METRICS = {
    "recall": ("rsum", "t2i_r1", "i2t_r1", "short_t2i_r10"),
    "precision": ("t2i_map_at_r", "i2t_map_at_r", "t2i_label_map", "i2t_label_map"),
    "uni_modal": ("t2t_map_at_r", "i2i_map_at_r", "t2t_map_at_r_heads", "i2i_map_at_r_heads"),
    "distance": ("positive_distance", "negative_distance"),
}
PICTUREBOOK = {
    "source": "picturebook:train@10000",
    "model": "starter:infonce",
    "image_features": "cache",
    "max_steps": 100,
    "batch_size": 64,
    "lr": 2e-4,
}
"""Arguments of `train` in the setting picturebook."""


def train_settings(setting: Setting, data: Path | None) -> dict[str, object]:
    """Return the arguments of `train` that all rows of a setting share, but for `out` and `seed`."""
    if setting == "picturebook":
        return {**PICTUREBOOK}
    settings = settings_of("features", data or Path("DATA"), Path())
    del settings["out"], settings["options"]
    return settings | {"captions_per_image": 2}


def tables_of(setting: Setting, runs: Mapping[str, Runs]) -> dict[str, Table]:
    """Return all tables: the methods, their controls, the rows trained from pixels, the comparisons.

    Args:
        setting: it decides which control stands beside AsCL.
        runs: what was measured, by row; a row may be missing, but not its baseline.
    """
    main = main_rows(setting)
    controls = ["infonce", *(name for name in ALL_ROWS if name not in (*main, *FROM_PIXELS))]
    groups = {"main": main, "controls": controls, "pixels": FROM_PIXELS}
    found = {}
    for group, names in groups.items():
        measured = [name for name in names if runs.get(name)]
        if group == "controls" and measured == ["infonce"]:  # a baseline without controls
            continue
        for subject, metrics in METRICS.items():
            if table := table_of(measured, metrics, runs):
                found[f"{group}_{subject}"] = table
    if comparisons := comparisons_of(runs):
        found["comparisons"] = comparisons
    return found


def table_of(
    names: Collection[str],
    metrics: Collection[str],
    runs: Mapping[str, Runs],
    against: str | None = None,
) -> Table | None:
    """Return one table, or None if nothing of it was measured.

    Args:
        names: rows, all of them measured.
        metrics: keys of `method_metrics.COLUMNS`; those that no row has are left out.
        runs: what was measured, by row, including the baselines.
        against: baseline of all rows; by default each row has its own.
    """
    shown = [metric for metric in metrics if any(metric in runs[name][0] for name in names)]
    if not shown:
        return None
    rows = []
    for name in names:
        base = runs.get(against or baseline(name)) or []
        cells = {metric: measurement(runs[name], base, metric) for metric in shown if metric in runs[name][0]}
        rows.append(Row(title=name, cells={"seeds": len(runs[name]), **cells}))
    columns = {"seeds": Column(title="seeds", format=".0f")} | {metric: COLUMNS[metric] for metric in shown}
    return Table(title="row", columns=columns, rows=rows)


def comparisons_of(runs: Mapping[str, Runs]) -> Table | None:
    """Return the differences of `COMPARISONS`, as far as both rows were measured."""
    rows = []
    for name, other, metrics in COMPARISONS:
        if runs.get(name) and runs.get(other):
            for metric in (metric for metric in metrics if metric in runs[name][0]):
                difference = measurement(runs[name], runs[other], metric).difference
                if difference is not None:
                    rows.append(
                        Row(
                            title=f"{name} against {other}: {COLUMNS[metric].title}",
                            cells={"difference": Measurement(**difference.model_dump())},
                        )
                    )
    columns = {"difference": Column(title="difference", format="+.1f")}
    return Table(columns=columns, rows=rows) if rows else None


def measurement(ours: Runs, base: Runs, metric: str) -> Measurement:
    """Return the mean over seeds of one metric, its spread, and the difference to a baseline.

    The interval of the difference is a paired bootstrap over images, 95 %, of two rows that are both averaged
    over the seeds that they share. There is no spread with one seed, and no difference to the row itself.
    """
    means = [np.nanmean(run[metric]) for run in ours]
    spread = float(np.std(means, ddof=1)) if len(means) > 1 else None
    difference = None
    if base and ours is not base and metric in base[0]:
        gaps = np.mean([a[metric] - b[metric] for a, b in zip(ours, base, strict=False)], axis=0)
        n_images = len(ours[0]["rsum"])
        image = np.arange(n_images) if len(gaps) == n_images else ours[0]["image_of_caption"]
        counts = ~np.isnan(gaps)
        low, high = interval(resampled(gaps[counts], image[counts], n_images))
        difference = Estimate(value=float(gaps[counts].mean()), low=low, high=high)
    return Measurement(value=float(np.mean(means)), spread=spread, difference=difference)


def commands(setting: Setting, name: str) -> list[str]:
    """Return the commands that train and measure a row and its baseline, and the training of seed 0 alone."""
    trained = name.removesuffix(ENSEMBLE)
    script = ["python", "benchmarks/methods.py"]
    out = ["--out", "runs/methods"]
    data = ["--data", "DATA"] if setting == "flickr8k" else []
    rows = [word for row in dict.fromkeys([baseline(name), trained]) for word in ("--row", row)]
    lines = [shlex.join([*script, "run", setting, *data, *out, *rows])]
    if name != trained:
        lines.append(shlex.join([*script, "merge", setting, *data, *out, "--row", trained]))
    lines.append(shlex.join([*script, "table", setting, *out, "--row", name]))
    row = chosen(setting, trained)
    if row.method:
        settings = train_settings(setting, None) | row.settings
        config = {"method": row.method, **settings, "options": row.options}
        lines += ["# the training of seed 0 alone", train_command(config, "runs/one-training")]
    return lines
