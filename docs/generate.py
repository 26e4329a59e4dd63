"""Write the generated parts of the documentation: `python docs/generate.py [--check]`.

Whole pages: the command line, the training options, the metrics. In a page: everything between
`<!-- generated: NAME -->` and `<!-- end generated -->`. With `--check` nothing is written; the exit status
is 1 if a file would change.
"""

import argparse
import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import griffe

DOCS = Path(__file__).parent
ROOT = DOCS.parent
NOTE = "<!-- Written by docs/generate.py; edit the code or docs/generate.py instead. -->\n"

TRAINING_GROUPS = {
    "What to train": (
        "method", "options", "model", "image_weights", "word_vectors", "vocab_size", "pixel_norm", "resize",
    ),
    "Data": (
        "source", "validation", "limit", "columns", "image_root", "exclude", "follow_links", "max_megapixels",
        "stream", "validation_columns", "validation_image_root", "image_features", "validation_features",
        "labels", "image_teacher", "text_teacher", "triples",
    ),
    "Batches": (
        "epochs", "max_steps", "batch_size", "captions_per_image", "keep_together", "encode_batch",
        "accumulate", "local_loss", "gradient_checkpointing",
    ),
    "Optimisation": (
        "lr", "image_lr_factor", "text_lr_factor", "warmup", "lr_floor", "temperature", "weight_decay",
        "adam_beta1", "adam_beta2", "clip", "ema_decay", "freeze_image", "freeze_text",
        "freeze_batch_norm", "lora",
    ),
    "Augmentation": ("crop", "flip", "jitter", "word_dropout"),
    "Machine and record": (
        "precision", "device", "workers", "cache_images", "eval_every", "save_every", "trackers", "seed",
    ),
}  # fmt: skip
"""Every field of `TrainConfig`, in the order of the page."""
JSON_TYPES = {
    "array": "list", "boolean": "true or false", "integer": "integer", "number": "number",
    "object": "mapping", "string": "text",
}  # fmt: skip
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
METHOD_ORDER = ("infonce", "siglip", "crcgs", "coder", "ascl", "cusa")


def cli() -> str:
    """Every command with its options, as typer itself documents them."""
    import typer
    from typer.cli import get_docs_for_click

    from ui.cli import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="pairscope")
    text = text.replace("* `--help`: Show this message and exit.\n", "")
    text = text.replace("```console\n$ ", "```text\n")
    for path, short in _summaries(command):  # typer cuts them off
        anchor, name = "-".join(["pairscope", *path]), path[-1]
        line = f"* [`{name}`](#{anchor}): {short}"
        text = re.sub(rf"^\* `{name}`: .*$", line, text, flags=re.MULTILINE)
    text = re.sub(r"^\* (`.+?`): ", r"* \1  \n    ", text, flags=re.MULTILINE)  # the text below the option
    text = text.replace("**Options**:\n\n\n", "")
    return f"# Command line\n\n{NOTE}\n" + text.partition("\n")[2].strip() + "\n"


def training_options() -> str:
    """The fields of `TrainConfig` in groups, and the options of every method."""
    from itr_core.training.config import TrainConfig

    fields = TrainConfig.model_json_schema()["properties"]
    _complete("TRAINING_GROUPS", [name for group in TRAINING_GROUPS.values() for name in group], fields)
    parts = [
        f"# Training options\n\n{NOTE}\n"
        "Settings of [`train`](api/core.md#itr_core.training.train) and of `pairscope train`, where "
        "`batch_size` is `--batch-size`.\n"
    ]
    for title, names in TRAINING_GROUPS.items():
        rows = [
            (
                f"`{name}`",
                _default(fields[name]),
                _allowed(fields[name]),
                _one_line(fields[name]["description"]),
            )
            for name in names
        ]
        parts.append(f"## {title}\n\n{_table(('setting', 'default', 'allowed', 'meaning'), rows)}")
    parts.append(
        "## Options of the methods\n\nGiven as `--options NAME=VALUE`, repeated for several. "
        "[The four methods](../explanation/methods.md) explains the symbols.\n"
    )
    parts += [f"### {name}\n\n{_method_options(name)}" for name in METHOD_ORDER]
    return "\n".join(parts)


def metrics() -> str:
    """Every metric: the catalogues of the code, with the formulas of `reference/_formulas.md`."""
    from analysis.geometry.catalogue import GEOMETRY
    from itr_core.metrics.catalogue import METRICS

    parts = re.split(r"^## (\w+)$", _read("reference/_formulas.md"), flags=re.MULTILINE)
    formulas = dict(zip(parts[1::2], parts[2::2], strict=True))
    if unknown := formulas.keys() - METRICS.keys() - GEOMETRY.keys():
        raise SystemExit(f"docs/reference/_formulas.md: no metric is called {', '.join(sorted(unknown))}.")
    text = _read("reference/_metrics.md").replace("# Metrics\n", f"# Metrics\n\n{NOTE}", 1)
    for place, catalogue in ("retrieval", METRICS), ("geometry", GEOMETRY):
        sections = [_metric(metric, formulas.get(name, "").strip()) for name, metric in catalogue.items()]
        text = text.replace(f"<!-- {place} -->\n", "\n".join(sections))
    return text


def layers() -> str:
    """The layers that import-linter enforces, highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    blocks = []
    for contract in contracts:
        if contract["type"] == "layers":
            container = contract.get("containers", [""])[0]
            rows = "".join(
                f"<div>{''.join(_package(container, name) for name in re.split('[|:]', layer))}</div>\n"
                for layer in contract["layers"]
            )
            blocks.append(f'**{contract["name"]}**\n\n<div class="layers">\n{rows}</div>\n')
    return "\n" + "\n".join(blocks) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli,
    "reference/training-options.md": training_options,
    "reference/metrics.md": metrics,
}
PARTS: dict[str, Callable[[], str]] = {"layers": layers}
PART = re.compile(rf"(<!-- generated: ({'|'.join(PARTS)}) -->\n).*?(<!-- end generated -->)", re.DOTALL)


def generated() -> dict[Path, str]:
    """Path -> the text that it should have."""
    texts = {DOCS / page: write() for page, write in PAGES.items()}
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if PART.search(text):
            texts[path] = PART.sub(lambda match: match[1] + PARTS[match[2]]() + match[3], text)
    return texts


def main() -> int:
    """Write the files, or with `--check` name those that are out of date."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    check = parser.parse_args().check
    stale = {
        path: text
        for path, text in generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        if check:
            print(f"{path.relative_to(ROOT)} is out of date: run python docs/generate.py")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} written")
    return 1 if check and stale else 0


def _complete(where: str, described: Iterable[str], known: Iterable[str]) -> None:
    if difference := set(described) ^ set(known):
        raise SystemExit(f"docs/generate.py: {where} and the code differ in {', '.join(sorted(difference))}.")


def _default(field: dict[str, Any]) -> str:
    if "default" not in field and field.get("type") == "string":
        return "required"
    default = field.get("default")
    return f"`{default}`" if isinstance(default, int | float | str) else "none"


def _allowed(field: dict[str, Any]) -> str:
    """The values of a field, from its JSON schema."""
    field = next(kind for kind in field.get("anyOf", [field]) if kind["type"] != "null") | field
    if "enum" in field:
        return _code(field["enum"])
    bounds = [f"{sign} {field[name]}" for name, sign in BOUNDS.items() if name in field]
    return " ".join([JSON_TYPES[field["type"]], " and ".join(bounds)]).strip()


def _method_options(name: str) -> str:
    from itr_core.methods import METHODS

    method = METHODS[name]
    defaults = {
        option.name: option.default
        for option in inspect.signature(method.__init__).parameters.values()
        if option.kind is option.KEYWORD_ONLY
    }
    docstring = griffe.Docstring(inspect.cleandoc(method.__doc__ or ""), lineno=1)
    entries = [
        (entry.name.split(", "), entry.description)
        for section in docstring.parse("google", warnings=False)
        if section.kind is griffe.DocstringSectionKind.parameters
        for entry in section.value
    ]
    _complete(f"the docstring of {name}", [each for names, _ in entries for each in names], defaults)
    rows = [
        (_code(names), _code(str(defaults[each]) for each in names), _one_line(text))
        for names, text in entries
    ]
    if not rows:
        return "It has no options.\n"
    presets = [
        f"\n`preset={preset}` sets {_code(f'{option}={value}' for option, value in values.items())}; options "
        "given beside it win.\n"
        for preset, values in method.presets.items()
    ]
    return _table(("option", "default", "meaning"), rows) + "".join(presets)


def _summaries(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and first sentence of every command."""
    for name, command in group.commands.items():
        yield (*path, name), _one_line(command.help or "").split(". ")[0].rstrip(".") + "."
        if hasattr(command, "commands"):
            yield from _summaries(command, (*path, name))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _metric(metric: Any, formula: str) -> str:
    title = metric.title.capitalize() if metric.title.islower() else metric.title
    heading = f"### {title} {{ #{metric.name} }}"
    low, high = metric.range
    facts = [f"`{metric.name}`", _range(low, high, metric.unit)]
    facts += [f"{metric.better} is better"] if metric.better else []
    facts += [f"Source: {_linked(metric.source)}"] if metric.source else []
    paragraphs = [heading, metric.definition, formula, f"{' · '.join(facts)}\n{{ .facts }}"]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _range(low: float | None, high: float | None, unit: str) -> str:
    text = "any number"
    if low is not None or high is not None:
        text = f"at most {high}" if low is None else f"at least {low}" if high is None else f"{low} to {high}"
    return f"{text} %" if unit == "%" else f"{text} ({unit})" if unit else text


def _linked(source: str) -> str:
    return re.sub(r"arXiv:(\d+\.\d+)", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)


def _read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def _package(container: str, name: str) -> str:
    return f"<code>{'.'.join(filter(None, (container, name.strip())))}</code>"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
