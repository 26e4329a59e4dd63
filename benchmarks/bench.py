"""Run the benchmarks of speed and memory one after the other, and print which goals are met.

    python benchmarks/bench.py --results benchmarks/results    # `make bench`
    python benchmarks/bench.py --quick                         # `make bench QUICK=1`

Each benchmark runs in a process of its own and measures its peer in the same run. A benchmark that fails is
named at the end, and the others run nevertheless. `--quick` measures less and smaller, so its figures differ.
Each result says how many cores were taken by other work meanwhile: on a busy machine trust ratios more than
seconds.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from goals import goal_table
from results import load_all

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Part:
    """A benchmark of the suite.

    Attributes:
        script: name of the script; its result has the same name.
        arguments: of the full run.
        quick: arguments of the quick run; None leaves the benchmark out.
    """

    script: str
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ()


_GROWTH = (
    *("--photos", "1000", "--photos", "30000"),
    *("--pictures", "1000", "--pictures", "10000", "--pictures", "100000", "--pictures", "1000000"),
)
SUITE = (
    Part(
        "text_encoding",
        ("--threads", "1", "--runtime", "openvino", "--int8"),
        ("--threads", "1", "--rounds", "3"),
    ),
    Part(
        "image_encoding",
        ("--runtime", "openvino"),
        ("--photos", "32", "--rounds", "1"),  # an export in int8 takes a minute
    ),
    Part("cold_query", ("--runtime", "onnx"), ("--rounds", "1", "--large", "0")),
    Part("http_search", ("--pictures", "2000", "--pictures", "31000"), ("--queries", "15")),
    Part("update", (), ("--pictures", "400")),
    Part("growth", _GROWTH, ("--photos", "64", "--photos", "128", "--pictures", "1000")),
    Part("million", (), None),
    Part("metrics_speed", (), None),
    Part("geometry_cost", (), ("--rounds", "1")),
    Part("first_start", (), ("--starts", "1")),
    Part("method_cost", (), ("--rounds", "2", "--batch-size", "16")),
)


def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure less and smaller, in a few minutes.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only this benchmark of the suite. Repeat for several.")
    ] = None,
    peer: Annotated[
        Path | None, typer.Option(help="Folder with clip-retrieval, see clip_retrieval_peer.py.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the result files; by default none are kept.")
    ] = None,
) -> None:
    """Run the benchmarks of speed and memory, and print which goals are met."""
    known = [part.script for part in SUITE]
    for name in only or ():
        if name not in known:
            raise typer.BadParameter(f"{name!r}: not one of {', '.join(known)}.", param_hint="--only")
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = results or Path(scratch)
        for part in SUITE:
            arguments = part.quick if quick else part.arguments
            if arguments is None or (only and part.script not in only):
                continue
            script = f"benchmarks/{part.script}.py"
            typer.echo(f"== {part.script}")
            command = [sys.executable, script, *arguments, "--results", str(folder.resolve())]
            if peer and part.script == "http_search":
                command += ["--peer", str(peer.resolve())]
            if subprocess.run(command, cwd=ROOT, check=False).returncode:
                failed.append(part.script)
        typer.echo(goal_table(load_all(folder)))
    if failed:
        typer.echo(f"Failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
