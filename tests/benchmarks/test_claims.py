"""The table of the papers' claims."""

import pytest
from claims import CLAIMS, Claim, Figure, claims_table, outcome
from method_metrics import COLUMNS
from method_rows import COMPARISONS, MAIN, ROWS
from method_tables import METRICS
from results import Column, Estimate, Machine, Measurement, Result, Row, Table, load_all

RESULTS = load_all()


@pytest.mark.parametrize(
    ("low", "high", "trainings", "claimed", "expected"),
    [
        (0.1, 2.0, 5, 1, "held"),
        (-2.0, -0.1, 5, -1, "held"),
        (-0.1, 2.0, 5, 1, "not shown"),
        (-2.0, -0.1, 5, 1, "the opposite was measured"),
        (0.1, 2.0, 5, -1, "the opposite was measured"),
        (0.1, 2.0, None, 1, "undecided: the interval is over images alone"),
        (-0.1, 2.0, None, 1, "not shown"),
        (-2.0, -0.1, None, 1, "not shown"),
        (None, None, None, 1, "undecided: no interval"),
    ],
)
def test_the_interval_decides(
    low: float | None, high: float | None, trainings: int | None, claimed: int, expected: str
) -> None:
    difference = Estimate(value=0.5, low=low, high=high, trainings=trainings)
    assert outcome(difference, claimed) == expected


def result(cell: Measurement) -> Result:
    table = Table(columns={"rsum": Column(title="rSum")}, rows=[Row(title="coder", cells={"rsum": cell})])
    return Result(
        commands=[], date=None, machine=Machine(), versions={}, code=None, tables={"main_recall": table}
    )


def test_a_claim_shows_its_figure_and_outcome() -> None:
    claim = Claim("CODER", "raises rSum", "p. 1", Figure("new/main_recall/coder/rsum"))

    def shown(**figures: Measurement) -> str:
        each = {name: result(cell) for name, cell in figures.items()}
        return claims_table(each, [claim]).splitlines()[-1]

    over_images = Measurement(value=260, difference=Estimate(value=2, low=1, high=3))
    assert "coder: rSum +2.0 [+1.0, +3.0] (`new`)" in shown(new=over_images)
    assert "over images alone" in shown(new=over_images)
    over_both = Measurement(value=250, difference=Estimate(value=-1, low=-2, high=1, trainings=5))
    assert shown(new=over_both).endswith("coder: rSum -1.0 [-2.0, +1.0] (`new`) | not shown |")
    assert "not measured yet" in shown(new=Measurement(value=250))
    assert "not measured yet" in shown(other=over_both)


def test_every_claim_has_a_figure_or_a_reason() -> None:
    for claim in CLAIMS:
        assert (claim.figure is None) == bool(claim.reason), claim.sentence


def test_every_figure_exists_or_will_be_measured() -> None:
    declared = {
        f"comparisons/{name} against {other}: {COLUMNS[metric].title}/difference"
        for name, other, metrics in COMPARISONS
        for metric in metrics
    } | {
        f"{'main' if name in MAIN else 'controls'}_{subject}/{name}/{metric}"
        for name in ROWS
        for subject, metrics in METRICS.items()
        for metric in metrics
    }
    for path in (claim.figure.path for claim in CLAIMS if claim.figure):
        name, _, rest = path.partition("/")
        table, title, column = rest.split("/")
        tables = RESULTS[name].tables if name in RESULTS else {}
        rows = {row.title: row for row in tables[table].rows} if table in tables else {}
        assert rest in declared or column in rows[title].cells, path
