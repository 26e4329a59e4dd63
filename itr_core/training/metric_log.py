"""What a training run tells: a progress bar, one JSON line per entry in metrics.jsonl, optional trackers."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Value = float | int | str | list[str]


class TrainingLog:
    """A context manager; entries of `path` after step `start` are dropped, they will be written again."""

    def __init__(
        self, path: Path, accelerator: Accelerator, *, start: int, total: int, progress: bool
    ) -> None:
        self._accelerator = accelerator
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if start and path.exists() else []
        path.write_text("".join(x for x in lines if _step(x) <= start), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._bar = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[news]}"),
            disable=not progress,
        )
        self._task = self._bar.add_task("Training", total=total, completed=start, news="")
        self._news: dict[str, str] = {}

    def __enter__(self) -> "TrainingLog":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._file.close()

    def advance(self, step: int) -> None:
        """Move the bar to `step` steps done."""
        self._bar.update(self._task, completed=step, news=" · ".join(self._news.values()))

    def write(self, step: int, **values: Value) -> None:
        """Log named values, as they are after `step` steps."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._accelerator.log({k: v for k, v in values.items() if isinstance(v, float | int)}, step=step)

    def news(self, **values: Any) -> None:
        """Show `name value` beside the bar until the next news of that name."""
        self._news |= {name: f"{name.replace('_', ' ')} {value}" for name, value in values.items()}

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False) if not self._bar.disable else None


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:  # the line that was being written when the run was killed
        return float("inf")
