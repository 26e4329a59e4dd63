"""Benchmark results: the schema of `results/*.json`, and how the files are read and written.

Benchmark commands write them through `reporting.report`; `render.py` makes the tables of the documentation
from them.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from itr_core.system.files import whole_file

RESULTS = Path(__file__).parent / "results"
"""Folder of the published results."""

Number = Annotated[float, AfterValidator(lambda value: float(f"{value:.6g}"))]
"""A finite number, kept to six significant digits."""


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(_Schema):
    """The smallest and the largest value of several runs."""

    minimum: Number
    maximum: Number

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class Estimate(_Schema):
    """A value with a confidence interval.

    Attributes:
        value: the estimate.
        low: lower end of the 95 % interval, or None if there is no interval.
        high: upper end; given if and only if `low` is.
        trainings: trainings that the interval is over, beside images; None if it is over images alone.
    """

    value: Number
    low: Number | None = None
    high: Number | None = None
    trainings: int | None = None

    @model_validator(mode="after")
    def _both_ends(self) -> "Estimate":
        if (self.low is None) != (self.high is None):
            raise ValueError(f"low is {self.low} and high is {self.high}: give both or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Measurement(Estimate):
    """An estimate that may also have a spread over seeds and a difference to a baseline.

    Attributes:
        spread: standard deviation over the trainings of a row, which differ by their seed.
        difference: this row minus its baseline row, with the 95 % interval of the difference.
    """

    spread: Annotated[Number, Field(ge=0)] | None = None
    difference: Estimate | None = None


Cell = Number | str | Range | Measurement | None
"""None means that the figure was not recorded. A cell that does not apply is left out of its row."""


class Column(_Schema):
    """A column of a table.

    Attributes:
        title: heading.
        unit: unit of all its numbers, such as "ms" or "MiB"; empty for percentages and ratios.
        format: format specification of its numbers, as `format(value, spec)` takes it.
    """

    title: str
    unit: str = ""
    format: str = ".1f"

    @field_validator("format")
    @classmethod
    def _is_a_number_format(cls, spec: str) -> str:
        format(0.0, spec)  # raises ValueError
        return spec


class Row(_Schema):
    """A row of a table.

    Attributes:
        title: what was measured.
        cells: values by the key of their column.
    """

    title: str
    cells: Mapping[str, Cell]


class Table(_Schema):
    """A table: columns by their key, rows in order.

    Attributes:
        title: heading of the first column, which holds the row titles.
        columns: the other columns, in order.
        rows: rows with different titles.
    """

    title: str = ""
    columns: dict[str, Column]
    rows: list[Row] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Table":
        titles = [row.title for row in self.rows]
        if repeated := {title for title in titles if titles.count(title) > 1}:
            raise ValueError(f"rows with the same title: {', '.join(sorted(repeated))}")
        for row in self.rows:
            if unknown := row.cells.keys() - self.columns.keys():
                raise ValueError(
                    f"row {row.title!r} has cells without a column: {', '.join(sorted(unknown))}"
                )
        return self

    def row(self, title: str) -> Row:
        """Return the row of that title; raises KeyError."""
        for row in self.rows:
            if row.title == title:
                return row
        raise KeyError(title)


class Machine(_Schema):
    """The machine of a run; None where it was not recorded.

    Attributes:
        cpu: model name.
        cores: cores that the process may use.
        memory_gib: main memory in GiB.
        accelerator: name of the GPU, or "none".
    """

    cpu: str | None = None
    cores: int | None = None
    memory_gib: float | None = None
    accelerator: str | None = None


class Result(_Schema):
    """What one benchmark command measured, and all that is needed to measure it again.

    Attributes:
        commands: command lines, run from the repository's root, that reproduce the figures.
        date: end of the measurement, in UTC; None if it was not recorded.
        published: date of the commit that published the figures, for figures whose date was not recorded.
        machine: where it ran.
        versions: version of Python and of the packages that matter, as far as recorded.
        code: version of Pairscope's code (see `code_version`), or None if it was not recorded.
        other_work: cores that other processes used meanwhile; None if it was not recorded.
        notes: sentences that a reader of the tables needs, such as how many runs there were.
        row_commands: for rows that can be reproduced one by one, the commands by the title of the row.
        tables: tables by their name.
    """

    commands: list[str]
    date: datetime.datetime | None
    published: datetime.date | None = None
    machine: Machine
    versions: dict[str, str]
    code: str | None
    other_work: Number | None = None
    notes: list[str] = []
    row_commands: dict[str, list[str]] = {}
    tables: dict[str, Table] = Field(min_length=1)


def load(name: str, folder: Path = RESULTS) -> Result:
    """Read `folder/NAME.json`.

    Raises:
        FileNotFoundError: there is no such file.
        pydantic.ValidationError: the file is not a `Result`.
    """
    return Result.model_validate_json((folder / f"{name}.json").read_bytes())


def load_all(folder: Path = RESULTS) -> dict[str, Result]:
    """Read every result of a folder, by name."""
    return {path.stem: load(path.stem, folder) for path in sorted(folder.glob("*.json"))}


def save(name: str, result: Result, folder: Path) -> Path:
    """Write `folder/NAME.json`, replacing a file of that name, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = result.model_dump_json(indent=1, exclude_unset=True)
    with whole_file(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path
