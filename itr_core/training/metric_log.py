"""The log of a training run: progress bar, metrics.jsonl with one JSON object per line, optional trackers."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from itr_core.system.files import whole_file

Value = float | int | str | list[str]


class TrainingLog:
    """A context manager that shows and records the progress of a run."""

    def __init__(
        self, path: Path, accelerator: Accelerator, *, start: int, total: int, progress: bool
    ) -> None:
        """Open the log.

        Args:
            path: file of the entries; those of steps after `start` are removed, as these steps run again.
            accelerator: passes numbers on to its trackers.
            start: steps that are already done.
            total: steps of the whole run.
            progress: show a progress bar and messages.
        """
        self._accelerator = accelerator
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        done = [line for line in lines if start and _step(line) <= start]
        if done != lines:
            with whole_file(path) as part:
                part.write_text("".join(done), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._bar = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            disable=not progress,
        )
        self._task = self._bar.add_task("Training", total=total, completed=start, values="")
        self._values: dict[str, str] = {}

    def __enter__(self) -> "TrainingLog":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._file.close()

    def advance(self, step: int) -> None:
        """Move the progress bar to `step` finished steps."""
        self._bar.update(self._task, completed=step, values=" · ".join(self._values.values()))

    def write(self, step: int, **values: Value) -> None:
        """Record named values after `step` steps; trackers get the numbers among them."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._accelerator.log({k: v for k, v in values.items() if isinstance(v, float | int)}, step=step)

    def show(self, **values: Any) -> None:
        """Show named values next to the progress bar from the next `advance` on."""
        self._values |= {name: f"{name.replace('_', ' ')} {value}" for name, value in values.items()}

    def message(self, text: str) -> None:
        """Print a line above the progress bar, if there is one."""
        if not self._bar.disable:
            self._bar.console.print(text, highlight=False, markup=False)


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:  # an incomplete line, written when the run was killed
        return float("inf")
