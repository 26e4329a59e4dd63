"""The files of the lessons, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ui.web.lessons.lesson import CONTENT, ORDER, Lesson, read_lesson

WORDS_PER_MINUTE = 180


def test_every_file_is_a_lesson_of_the_page() -> None:
    assert sorted(path.stem for path in CONTENT.glob("*.yaml")) == sorted(ORDER)
    assert len(ORDER) == 7


@pytest.mark.parametrize("name", ORDER)
def test_a_lesson_can_be_read_in_its_minutes(name: str) -> None:
    lesson = read_lesson(CONTENT / f"{name}.yaml")
    texts = [step.text for step in lesson.steps]
    texts += [text for step in lesson.steps if step.act for text in (step.act.task, step.act.then)]
    texts += [
        text
        for step in lesson.steps
        if step.ask
        for text in (step.ask.question, *step.ask.options, step.ask.why)
    ]
    assert sum(len(text.split()) for text in texts) / WORDS_PER_MINUTE <= lesson.minutes


@pytest.mark.parametrize("name", ORDER)
def test_the_right_option_is_not_always_the_same(name: str) -> None:
    lesson = read_lesson(CONTENT / f"{name}.yaml")
    assert len({step.ask.right for step in lesson.steps if step.ask}) > 1


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CONTENT / "alignment.yaml").read_text("utf-8"))
    return loaded


def without_check(lesson: dict[str, Any]) -> None:
    lesson["steps"].pop()
    lesson["steps"][-1] = lesson["steps"][0]


def without_prediction(lesson: dict[str, Any]) -> None:
    for step in lesson["steps"][:-1]:
        if "act" in step:
            step.pop("ask", None)


def with_a_step_that_does_not_wait(lesson: dict[str, Any]) -> None:
    lesson["steps"][0] = {"text": "Only a text."}


def with_a_right_option_that_is_missing(lesson: dict[str, Any]) -> None:
    lesson["steps"][-1]["ask"]["right"] = 4


def with_an_unknown_tool(lesson: dict[str, Any]) -> None:
    lesson["tool"] = "hammer"


def with_an_unknown_field(lesson: dict[str, Any]) -> None:
    lesson["steps"][0]["colour"] = "red"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_check, "the last step is a check"),
        (without_prediction, "a prediction that the learner tests"),
        (with_a_step_that_does_not_wait, "it waits for the learner"),
        (with_a_right_option_that_is_missing, "right: 4, but there are 3 options"),
        (with_an_unknown_tool, "tool"),
        (with_an_unknown_field, "colour"),
    ],
)
def test_a_file_that_is_no_lesson_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    lesson = content()
    Lesson.model_validate(lesson)
    change(lesson)
    path = tmp_path / "lesson.yaml"
    path.write_text(yaml.safe_dump(lesson), "utf-8")
    with pytest.raises(ValueError, match=message):
        read_lesson(path)
