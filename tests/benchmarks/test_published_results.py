"""The published results and the pages made from them."""

import re
from pathlib import Path
from typing import get_args

import pytest
from index import DETAILS, INDEX
from method_rows import CANDIDATES, ROWS
from method_settings import Setting
from method_tables import commands
from render import PAGES, ROOT, main
from results import load_all

RESULTS = load_all()
README, *EXPLANATIONS = PAGES
GENERATED = re.compile(r"<!-- generated: (.+?) -->\n(.*?)<!-- end generated -->", re.S)
HISTORICAL = {"86.7"}  # measured with a model that is not shipped, so no command measures it again
EARLIER = {name for name, result in RESULTS.items() if "git checkout" in "".join(result.commands[:1])}
"""Results of earlier code."""
DECIMAL = re.compile(r"\d[\d,]*\.\d+")


def test_every_page_is_what_the_results_say() -> None:
    main(check=True)


def test_the_readme_is_an_index() -> None:
    assert len(GENERATED.sub("", README.read_text(encoding="utf-8")).splitlines()) <= 40  # beside the tables


def test_every_result_is_shown_on_a_page() -> None:
    markers = " + ".join(
        name for page in EXPLANATIONS for name, _ in GENERATED.findall(page.read_text("utf-8"))
    )
    for name, result in RESULTS.items():
        whole = re.search(rf"(^| \+ ){name}($| \+ )", markers)
        for part in (*result.tables, "reproduce"):
            assert whole or f"{name}.{part}" in markers, f"{name}.{part}"


def test_every_link_of_the_index_leads_to_a_section() -> None:
    for entry in INDEX:
        page, _, section = entry.page.partition("#")
        text = (README.parent / DETAILS / page).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.M)
        assert section in [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings]


@pytest.mark.parametrize("page", EXPLANATIONS, ids=lambda page: page.stem)
def test_every_decimal_number_of_the_text_is_in_a_generated_part(page: Path) -> None:
    """So a figure that is measured anew cannot leave an old one in the discussion. Signs may differ."""
    text = page.read_text(encoding="utf-8")
    generated = {*DECIMAL.findall(" ".join(part for _, part in GENERATED.findall(text)))}
    prose = GENERATED.sub("", text)
    assert DECIMAL.search(prose)
    for match in DECIMAL.finditer(re.sub(r"`[^`]*`", "", prose)):
        assert match[0] in generated | HISTORICAL, prose[max(0, match.start() - 60) : match.end()]


@pytest.mark.parametrize("name", [name for name in RESULTS if RESULTS[name].row_commands])
def test_every_row_of_the_methods_has_its_commands(name: str) -> None:
    result = RESULTS[name]
    rows = {row.title for part, table in result.tables.items() if part != "comparisons" for row in table.rows}
    assert rows == result.row_commands.keys()
    assert rows <= ROWS.keys() or name in EARLIER


@pytest.mark.parametrize("setting", get_args(Setting))
def test_the_commands_of_a_row_train_it_as_it_is_declared(setting: Setting) -> None:
    name = f"methods_{setting}"
    if name not in RESULTS or name in EARLIER:
        pytest.skip(f"{setting} was not measured with the present declarations")
    chosen = {
        row.title for row in RESULTS[f"{name}_selection"].tables["validation"].rows if row.cells["chosen"]
    }
    choices = {
        method: next(candidate for candidate in candidates if candidate.title in chosen)
        for method, candidates in CANDIDATES.items()
    }
    for row, lines in RESULTS[name].row_commands.items():
        assert lines == commands(setting, row, choices)


def test_every_script_of_a_command_exists() -> None:
    for result in RESULTS.values():
        for command in [
            *result.commands,
            *(line for lines in result.row_commands.values() for line in lines),
        ]:
            if command.startswith("python "):
                assert (ROOT / command.split()[1]).is_file(), command
