"""Kinds of cases for `cases.py`: a source that is read or refused, and commands that run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

COLOURS = ("red", "green", "blue")


@dataclass
class Case:
    """One input: its name, and a function that returns the outcome and whether it is right."""

    name: str
    run: Callable[[], tuple[str, bool]]


def reads(
    source: str,
    captions: Mapping[str, list[str]] | int,
    *,
    says: Iterable[str] = (),
    labels: Iterable[str] = (),
    **options: Any,
) -> Case:
    """A source is read with these captions by image id (or with so many images).

    Args:
        source: a spec of `load_pairs`.
        captions: captions by image id, or the number of images.
        says: texts that occur in what is skipped or noted.
        labels: all labels.
        **options: of `load_pairs`.
    """

    def run() -> tuple[str, bool]:
        from itr_core import load_pairs

        pairs = load_pairs(source, **options)
        found = dict(zip(pairs.image_ids, pairs.captions, strict=True))
        told = [*pairs.notes, *(f"{name}: {reason}" for name, reason in pairs.skipped)]
        right = (len(found) if isinstance(captions, int) else found) == captions
        right &= all(text in "\n".join(told) for text in says)
        right &= set(labels) == {label for of_image in pairs.labels or () for label in of_image}
        decoded = [pairs.image(row).size for row in range(len(pairs))]
        return f"{len(decoded)} images, {sum(map(len, pairs.captions))} captions; {'; '.join(told)}", right

    return Case(source, run)


def colours(source: str, *captions: str, suffix: str = ".jpg", **options: Any) -> Case:
    """The red, the green and the blue picture are read with these captions, in which * is the colour."""
    texts = captions or ("a * ball",)
    expected = {f"{name}{suffix}": [text.replace("*", name) for text in texts] for name in COLOURS}
    return reads(source, expected, **options)


def refuses(source: str, *words: str, **options: Any) -> Case:
    """A source is refused in one sentence with these words."""

    def run() -> tuple[str, bool]:
        from itr_core import load_pairs
        from itr_core.errors import PairscopeError

        try:
            pairs = load_pairs(source, **options)
        except PairscopeError as error:
            message = str(error)
            return message, "\n" not in message and all(word in message for word in words)
        return f"{len(pairs)} images, {sum(map(len, pairs.captions))} captions", False

    return Case(source, run)


def runs(*steps: tuple[str, ...], says: Iterable[str] = (), code: int = 0) -> Case:
    """Commands run without a traceback; the last one ends with `code` and prints the texts."""

    def run() -> tuple[str, bool]:
        from typer.testing import CliRunner

        from ui.cli import app
        from ui.cli.output import exit_on_error

        for step in steps:
            result = CliRunner().invoke(app, list(step))
            output, exit_code = result.output, result.exit_code
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                try:
                    with exit_on_error():
                        raise result.exception
                except SystemExit as stop:
                    exit_code, output = int(str(stop.code)), f"{output}{result.exception}"
        lines = [line for line in output.splitlines() if line.strip()]
        return " / ".join(lines[-3:]), exit_code == code and all(text in output for text in says)

    return Case(" && ".join(" ".join(step) for step in steps), run)
