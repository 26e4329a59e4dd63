"""Tables of the comparison of methods, from what was measured query by query."""

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from method_metrics import COLUMNS
from method_rows import COMPARISONS, MAIN, ROWS, Row, baseline, row_of
from method_runs import Runs
from method_settings import Setting, conditions
from results import Column, Estimate, Measurement, Table
from results import Row as TableRow
from train_command import train_command

from itr_core.metrics.bootstrap import interval
from itr_core.metrics.seed_bootstrap import resampled_with_seeds

METRICS = {
    "recall": ("rsum", "t2i_r1", "i2t_r1", "short_t2i_r10"),
    "precision": ("t2i_map_at_r", "i2t_map_at_r", "t2i_label_map", "i2t_label_map"),
    "codes": ("t2i_code_map", "i2t_code_map"),
    "uni_modal": ("t2t_map_at_r", "i2i_map_at_r", "t2t_map_at_r_heads", "i2i_map_at_r_heads"),
    "distance": ("positive_distance", "negative_distance"),
}


def tables_of(runs: Mapping[str, Runs]) -> dict[str, Table]:
    """Return all tables: the methods, their controls, the comparisons.

    Args:
        runs: what was measured, by row; a row may be missing, but not its baseline.
    """
    controls = ["infonce", *(name for name in ROWS if name not in MAIN)]
    found = {}
    for group, names in {"main": MAIN, "controls": controls}.items():
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
    of_rows = {name: _metrics_of(runs[name]) for name in names}
    shown = [metric for metric in metrics if any(metric in known for known in of_rows.values())]
    if not shown:
        return None
    rows = []
    for name in names:
        base = runs.get(against or baseline(name)) or {}
        cells = {metric: measurement(runs[name], base, metric) for metric in shown if metric in of_rows[name]}
        rows.append(TableRow(title=name, cells={"seeds": len(runs[name]), **cells}))
    columns = {"seeds": Column(title="seeds", format=".0f")} | {metric: COLUMNS[metric] for metric in shown}
    return Table(title="row", columns=columns, rows=rows)


def comparisons_of(runs: Mapping[str, Runs]) -> Table | None:
    """Return the differences of `COMPARISONS`, as far as both rows were measured with a common seed."""
    rows = []
    for name, other, metrics in COMPARISONS:
        ours, base = runs.get(name) or {}, runs.get(other) or {}
        for metric in metrics:
            if metric in _metrics_of(ours) & _metrics_of(base) and (found := difference(ours, base, metric)):
                title = f"{name} against {other}: {COLUMNS[metric].title}"
                shown = Measurement(**dict(found))
                seeds = len(ours.keys() & base.keys())
                rows.append(TableRow(title=title, cells={"seeds": seeds, "difference": shown}))
    columns = {
        "seeds": Column(title="seeds", format=".0f"),
        "difference": Column(title="difference", format="+.1f"),
    }
    return Table(columns=columns, rows=rows) if rows else None


def measurement(ours: Runs, base: Runs, metric: str) -> Measurement:
    """Return the mean over seeds of one metric, its spread, and the difference to a baseline.

    There is no spread with one seed, and no difference to the row itself.
    """
    means = [np.nanmean(run[metric]) for run in ours.values()]
    spread = float(np.std(means, ddof=1)) if len(means) > 1 else None
    found = difference(ours, base, metric) if ours is not base and metric in _metrics_of(base) else None
    return Measurement(value=float(np.mean(means)), spread=spread, difference=found)


def difference(ours: Runs, base: Runs, metric: str) -> Estimate | None:
    """Return the mean difference of two rows over the trainings that both have, or None if there are none.

    Its 95 % interval is over images and trainings, and with one training over images only; images and
    trainings of equal number are paired.
    """
    common = [number for number in ours if number in base]
    if not common:
        return None
    gaps = np.stack(
        [ours[number][metric] - base[number][metric] for number in common]
    )  # (trainings, queries)
    first = ours[common[0]]
    n_images = len(first["rsum"])
    image = np.arange(n_images) if gaps.shape[1] == n_images else first["image_of_caption"]
    counts = ~np.isnan(gaps).any(axis=0)
    low, high = interval(resampled_with_seeds(gaps[:, counts], image[counts], n_images))
    trainings = len(common) if len(common) > 1 else None
    return Estimate(value=float(gaps[:, counts].mean()), low=low, high=high, trainings=trainings)


def _metrics_of(runs: Runs) -> set[str]:
    return {metric for run in runs.values() for metric in run}


def commands(setting: Setting, name: str, choices: Mapping[str, Row]) -> list[str]:
    """Return the commands that train and measure a row and its baseline, and the training of seed 0 alone."""
    out = Path("runs/methods")
    script = ["python", "benchmarks/methods.py"]
    where = [setting, "--out", str(out)]
    with_data = [*where, "--data", "DATA"] if setting != "picturebook" else where
    rows = [word for row in dict.fromkeys([baseline(name), name]) for word in ("--row", row)]
    row = row_of(name, choices)
    arguments = conditions(setting, Path("DATA"), out / setting / "data").train | row.settings
    config = {"method": row.method, **arguments, "options": row.options, "seed": row.first_seed}
    return [
        shlex.join([*script, "select", *with_data]),
        shlex.join([*script, "run", *with_data, *rows]),
        shlex.join([*script, "table", *where, "--row", name]),
        "# the first training alone",
        train_command(config, "runs/one-training"),
    ]
