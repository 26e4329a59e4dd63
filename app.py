"""Serve the browser app: `python app.py`. Also the entry point of a Hugging Face Space."""

import typer

from ui.cli.demo import demo
from ui.cli.output import exit_on_error

if __name__ == "__main__":
    with exit_on_error():
        typer.run(demo)
