"""Serve the browser app: `python app.py`. Also the entry point of a Hugging Face Space."""

import typer

from ui.cli.demo import demo
from ui.cli.output import exit_on_error, keep_bars_out_of_files

if __name__ == "__main__":
    keep_bars_out_of_files()
    with exit_on_error():
        typer.run(demo)
