"""Serve the browser app: `python app.py`. Also the entry point of a Hugging Face Space."""

import typer

from ui.cli.demo import demo

if __name__ == "__main__":
    typer.run(demo)
