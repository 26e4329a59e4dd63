"""Plots of misses and probes show the values of their tables, and escape words of users."""

import pandas as pd
import pytest

from analysis.figures import misses, probes
from analysis.misses.causes import ALL_CAUSES


@pytest.fixture
def table() -> pd.DataFrame:
    causes = ["false negative", "false negative", "hub", "wrong object"]
    return pd.DataFrame({"direction": ["t2i", "t2i", "t2i", "i2t"], "cause": causes})


@pytest.mark.parametrize("dark", [False, True])
def test_causes_of_each_model_in_both_directions(table: pd.DataFrame, dark: bool) -> None:
    drawn = misses.causes({"one": table, "two": table[:3]}, dark=dark)
    assert [(bar.name, bar.showlegend) for bar in drawn.data] == [
        ("one", True), ("one", False), ("two", True), ("two", False)
    ]  # fmt: skip
    shown = dict(zip(drawn.data[0].y, drawn.data[0].x, strict=True))
    assert shown == pytest.approx(dict.fromkeys(ALL_CAUSES, 0) | {"false negative": 200 / 3, "hub": 100 / 3})
    assert list(drawn.data[3].x) == [0] * len(ALL_CAUSES)  # model two has no I2T misses
    assert [bar.customdata[2] for bar in drawn.data] == ["t2i hub", "i2t hub", "t2i hub", "i2t hub"]


def test_confusion_shows_one_concept() -> None:
    rows = [("colour", "red", "blue", 3), ("colour", "red", "green", 1), ("colour", "grey", "blue", 2)]
    table = pd.DataFrame(
        [*rows, ("object", "dog", "cat", 9)], columns=["concept", "captioned", "depicted", "misses"]
    )
    (cells,) = misses.confusion(table, "colour").data
    assert (list(cells.y), list(cells.x)) == (["red", "grey"], ["blue", "green"])
    assert cells.z.tolist() == [[3, 1], [2, 0]]
    assert cells.text.tolist() == [["3", "1"], ["2", ""]]


def test_a_large_confusion_table_is_cut_to_15_words() -> None:
    words = [f"word {n}" for n in range(40)]
    table = pd.DataFrame(
        {"concept": "object", "captioned": words, "depicted": words, "misses": range(40, 0, -1)}
    )
    (cells,) = misses.confusion(table, "object").data
    assert list(cells.y) == list(cells.x) == words[:15]


def test_accuracy_has_error_bars() -> None:
    row = {"probes": 7, "images": 5, "accuracy": 0.6, "low": 0.5, "high": 0.9}
    table = pd.DataFrame([row], index=pd.Index(["negate"], name="kind"))
    points = probes.accuracy({"one": table, "two": table}).data
    assert [each.name for each in points] == ["one", "two"]
    assert points[0].x[0] == pytest.approx(60)
    assert points[0].error_x.array[0] == pytest.approx(30)
    assert points[0].error_x.arrayminus[0] == pytest.approx(10)


def test_words_of_a_query_are_escaped() -> None:
    table = pd.DataFrame({"word": ["<b>dog</b>", "red"], "start": [0, 4], "end": [3, 7], "drop": [0.2, -0.1]})
    drawn = probes.importance(table)
    assert drawn.layout.yaxis.ticktext[0] == "&lt;b&gt;dog&lt;/b&gt;"
    assert list(drawn.data[0].x) == [0.2, -0.1]
    assert len(set(drawn.data[0].marker.color)) == 2
