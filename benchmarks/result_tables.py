"""Results as Markdown: cells, tables, and the block that says how a result is reproduced."""

from collections.abc import Iterable, Mapping
from html import escape

from results import Cell, Column, Estimate, Range, Result, Table

NOT_RECORDED = "not recorded"


def cell_text(cell: Cell, spec: str) -> str:
    """Return a cell as text.

    A measurement is shown as `value ± spread [low, high] (+difference [low, high])`, without the parts that
    it does not have.

    Args:
        cell: the value; None is shown as "not recorded".
        spec: format specification of its numbers.
    """
    if cell is None:
        return NOT_RECORDED
    if isinstance(cell, str):
        return cell.replace("|", "\\|")
    if isinstance(cell, int | float):
        return format(cell, spec)
    if isinstance(cell, Range):
        ends = format(cell.minimum, spec), format(cell.maximum, spec)
        return " to ".join(dict.fromkeys(ends))
    spread = "" if cell.spread is None else f" ± {cell.spread:{spec}}"
    difference = "" if cell.difference is None else f" ({_interval(cell.difference, '+' + spec)})"
    value, *bounds = _interval(cell, spec).split(" ", 1)
    return " ".join([value + spread, *bounds]) + difference


def _interval(estimate: Estimate, spec: str) -> str:
    text = format(estimate.value, spec)
    if estimate.low is not None and estimate.high is not None:
        text += f" [{estimate.low:{spec}}, {estimate.high:{spec}}]"
    return text


def _heading(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def markdown_table(*tables: Table) -> str:
    """Return tables as one Markdown table, their rows one after the other.

    Raises:
        ValueError: the tables have different columns.
    """
    first = tables[0]
    for table in tables[1:]:
        if table.columns != first.columns:
            raise ValueError(f"columns {[*table.columns]} cannot be joined to {[*first.columns]}")
    lines = [
        _line([first.title, *map(_heading, first.columns.values())]),
        _line(["---"] * (len(first.columns) + 1)),
    ]
    for row in (row for table in tables for row in table.rows):
        cells = [
            cell_text(row.cells[key], column.format) if key in row.cells else ""
            for key, column in first.columns.items()
        ]
        lines.append(_line([row.title, *cells]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def reproduction(result: Result) -> str:
    """Return the notes of a result and a block that opens on a click: commands, date, machine, versions.

    Rows with commands of their own get a block each, too.
    """
    notes = "\n".join(f"- {note}" for note in result.notes)
    paragraphs = [notes] if notes else []
    paragraphs.append(_details("Reproduce these figures", _code(result.commands) + _run(result)))
    if result.row_commands:
        rows = (_details(escape(title), _code(lines)) for title, lines in result.row_commands.items())
        paragraphs += ["Commands of each row:", "\n".join(rows)]
    return "\n\n".join(paragraphs)


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n{content}</details>"


def _code(commands: Iterable[str]) -> str:
    lines = "\n".join(escape(command, quote=False) for command in commands)
    return f"<pre><code>{lines or NOT_RECORDED}</code></pre>\n"


def _run(result: Result) -> str:
    machine = result.machine
    if result.date is not None:
        when = f"{result.date:%Y-%m-%d %H:%M} UTC"
    else:
        when = NOT_RECORDED + (f"; published {result.published}" if result.published else "")
    facts: Mapping[str, str | None] = {
        "Date": when,
        "CPU": machine.cpu,
        "Cores": None if machine.cores is None else str(machine.cores),
        "Memory": None if machine.memory_gib is None else f"{machine.memory_gib:.1f} GiB",
        "Accelerator": machine.accelerator,
        "Versions": ", ".join(f"{name} {number}" for name, number in result.versions.items()),
        "Code": result.code,
    }
    if result.other_work is not None:
        facts = {**facts, "Cores used by other work": f"{result.other_work:.1f}"}
    items = "".join(f"<li>{name}: {escape(fact or NOT_RECORDED)}</li>\n" for name, fact in facts.items())
    return f"<ul>\n{items}</ul>\n"
