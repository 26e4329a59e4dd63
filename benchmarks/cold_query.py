"""Time `pairscope search` from the start of the process to the printed hits, with its memory.

    python benchmarks/cold_query.py --runtime openvino

The small gallery is built from drawn pictures, the large one is enlarged from it (`enlarged.py`). `import
torch, open_clip` and the searches alternate; times are medians over rounds, and a ratio is taken within a
round. With `--runtime`, the model is exported first, and searches with the export alternate with the others.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from enlarged import enlarge
from reporting import ResultsOption, report
from results import Column, Row, Table
from timing import median_ratio

from itr_core import Gallery

ROOT = Path(__file__).parents[1]
IMPORTS = "import of torch and open_clip"
QUERY = "a red car"
_MEASURE = """
import os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
spent, status = usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status)
print(time.perf_counter() - start, spent, usage.ru_maxrss * 1024 / 1e6, status)
"""
# In a small process: the peak memory of a process is at least that of the one that starts it.


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 5,
    small: Annotated[int, typer.Option(help="Pictures of the small gallery.")] = 500,
    large: Annotated[int, typer.Option(help="Pictures of the large gallery; 0 leaves it out.")] = 31_000,
    model: Annotated[str, typer.Option(help="Model spec.")] = "starter:infonce",
    runtime: Annotated[
        str | None, typer.Option(help="Also search with an export of the starter: openvino or onnx.")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Time a search from the command line with its memory."""
    runs = {IMPORTS: ["-c", "import torch, open_clip"]}
    if runtime:
        run("-m", "ui.cli", "export", model, "--runtime", runtime)
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / str(small)
        source = f"picturebook:gallery@{small}"
        run("-m", "ui.cli", "build", source, "--out", str(built), "--no-map", "--model", model)
        if large:
            enlarge(Gallery.open(built), Path(scratch) / str(large), large)
        for pictures in filter(None, (small, large)):
            gallery = str(Path(scratch) / str(pictures))
            search = ["-m", "ui.cli", "search", gallery, QUERY]
            runs[f"search of {pictures:,} pictures"] = search
            if runtime:
                runs[f"the same, --runtime {runtime}, {pictures:,} pictures"] = [
                    *search,
                    "--runtime",
                    runtime,
                ]
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        processor: dict[str, list[float]] = {name: [] for name in runs}
        memory: dict[str, float] = {}
        for number in range(rounds + 1):
            for name, arguments in runs.items():
                taken, spent, memory[name] = run(*arguments)
                if number:  # the first round fills the caches
                    seconds[name].append(taken)
                    processor[name].append(spent)
    columns = {
        "seconds": Column(title="time", unit="s", format=".2f"),
        "ratio": Column(title="of the imports", format=".2f"),
        "processor": Column(title="processor time", unit="s", format=".2f"),
        "memory": Column(title="peak memory", unit="MB", format=".0f"),
    }
    rows = [
        Row(
            title=name,
            cells={
                "seconds": statistics.median(each),
                "ratio": median_ratio(each, seconds[IMPORTS]),
                "processor": statistics.median(processor[name]),
                "memory": memory[name],
            },
        )
        for name, each in seconds.items()
    ]
    notes = [f"{model}; median over rounds: {rounds}."]
    report("cold_query", {"seconds": Table(columns=columns, rows=rows)}, results, notes)


def run(*arguments: str) -> tuple[float, float, float]:
    """Run Python; return its seconds, processor time and peak resident memory in MB."""
    measured = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURE, sys.executable, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    seconds, spent, memory, status = map(float, measured.stdout.split())
    if status:
        raise RuntimeError(f"python {' '.join(arguments)} ended with exit status {status:.0f}.")
    return seconds, spent, memory


if __name__ == "__main__":
    typer.run(main)
