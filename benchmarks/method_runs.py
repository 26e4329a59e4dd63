"""The trainings of the comparison of methods: each is done and measured once, whichever row asks for it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from method_metrics import Queries, measure
from method_rows import CANDIDATES, MOST_TRAININGS, ROWS, Row, row_of
from method_settings import Setting, Split, conditions

from itr_core import load_pairs, train
from itr_core.encoders.checksums import STATE

Runs = Mapping[int, Queries]
"""What was measured of the trainings of one row, by their number: 0, 1, ..."""
TRAINED = "trained"
"""Name of the empty file in the folder of a training that has ended."""
CRITERION = "rsum"
"""The candidate with the highest mean of this metric over its trainings, on validation data, is chosen."""


class MissingError(LookupError):
    """A training that is needed has not been measured."""


class Trainings:
    """The folder of all trainings in one setting.

    A training is in METHOD-HASH/SEED, where the hash is over the settings and the options. So rows with equal
    options share their trainings, and no training of before a change of the declarations is taken for one
    of after it.
    """

    def __init__(self, setting: Setting, out: Path) -> None:
        self.setting = setting
        self.out = out / setting

    def folder(self, row: Row, number: int) -> Path:
        """Return the folder of training `number` of a row that has all its options."""
        shared = conditions(self.setting, Path("DATA"), Path("OUT")).train  # the same on every machine
        declared = json.dumps([shared | row.settings, row.options], sort_keys=True)
        digest = hashlib.sha256(declared.encode()).hexdigest()[:8]
        return self.out / f"{row.method}-{digest}" / str(row.first_seed + number)

    def measure(self, row: Row, number: int, split: Split, data: Path) -> Queries:
        """Train and measure what has not been trained or measured, and return the figures."""
        folder = self.folder(row, number)
        stored = folder / f"{split}.npz"
        if stored.exists():
            return _read(stored)
        setting = conditions(self.setting, data, self.out / "data", write=True)
        if not (folder / TRAINED).exists():  # weights are there from the start of a training on
            arguments = setting.train | row.settings | {"options": row.options, "out": folder}
            arguments |= {"seed": row.first_seed + number, "progress": False}
            train(row.method, resume=(folder / STATE).exists(), **arguments)
            (folder / TRAINED).touch()
        (folder / STATE).unlink(missing_ok=True)  # three times the size of the model
        source = setting.measured[split]
        arrays: dict[str, Any] = {**measure(folder, load_pairs(source.pairs), source.features)}
        part = folder / f"{split}.part.npz"
        np.savez(part, **arrays)
        part.replace(stored)
        return _read(stored)

    def measured(self, row: Row, split: Split) -> Runs:
        """Return the figures that a row with all its options has so far."""
        folder = self.folder(row, 0).parent
        files = {
            number: folder / str(row.first_seed + number) / f"{split}.npz" for number in range(MOST_TRAININGS)
        }
        return {number: _read(file) for number, file in files.items() if file.exists()}

    def choices(self) -> dict[str, Row]:
        """Return the candidate of each method that is best on validation data.

        Raises:
            MissingError: the candidates of a method have no measured trainings, or not equally many.
        """
        return {method: self._best(method) for method in CANDIDATES}

    def _best(self, method: str) -> Row:
        candidates = CANDIDATES[method]
        runs = [self.measured(candidate.upon(Row(method)), "validation") for candidate in candidates]
        if not runs[0] or any(each.keys() != runs[0].keys() for each in runs):
            raise MissingError(
                f"The candidates of {method} have {', '.join(str(len(each)) for each in runs)} measured "
                f"trainings in {self.out}. Run `methods.py select {self.setting}` to its end first."
            )
        means = [np.mean([run[CRITERION] for run in each.values()]) for each in runs]
        return candidates[int(np.argmax(means))]

    def rows(self, choices: Mapping[str, Row]) -> dict[str, Runs]:
        """Return what was measured of every row, by its title, without rows that were not trained."""
        found = {name: self.measured(row_of(name, choices), "reported") for name in ROWS}
        return {name: runs for name, runs in found.items() if runs}


def _read(file: Path) -> Queries:
    with np.load(file) as stored:
        return dict(stored)
