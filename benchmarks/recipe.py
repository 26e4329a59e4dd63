"""Run the protocol of a paper on a data set: all commands of one file in `recipes/`, one after the other.

    python benchmarks/recipe.py crcgs-mirflickr DATA OUT

The file says what DATA must contain, what the paper reports and how many GPU hours to expect. `--print` shows
the commands without running them.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

RECIPES = Path(__file__).parent / "recipes"


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.md") if path.stem != "README")


def commands(name: str, data: str, out: str) -> list[list[str]]:
    """Return the arguments of each `pairscope` command of a recipe, in order.

    Args:
        name: name of the recipe.
        data: folder of the data set, for $DATA.
        out: folder of the results, for $OUT.
    """
    text = (RECIPES / f"{name}.md").read_text(encoding="utf-8")
    block = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    words = [shlex.split(line) for line in lines if line.startswith("pairscope ")]
    return [
        [word.replace("$DATA", data).replace("$OUT", out) for word in of_command[1:]] for of_command in words
    ]


def main(
    name: Annotated[str, typer.Argument(help="A file in benchmarks/recipes, without .md.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="Folder of the data set.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder of the models and results.")],
    print_only: Annotated[bool, typer.Option("--print", help="Print the commands only.")] = False,
) -> None:
    """Run the commands of a recipe; stop at the first that fails."""
    if name not in recipe_names():
        raise typer.BadParameter(f"{name!r} is no recipe; there are {', '.join(recipe_names())}.")
    for arguments in commands(name, data, out):
        typer.echo(shlex.join(["pairscope", *arguments]))
        if print_only:
            continue
        ended = subprocess.run([sys.executable, "-m", "ui.cli", *arguments], check=False)
        if ended.returncode:
            raise typer.Exit(ended.returncode)


if __name__ == "__main__":
    typer.run(main)
