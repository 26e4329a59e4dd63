"""What a lesson is, and how its file is read."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

CONTENT = Path(__file__).with_name("content")
ORDER = (
    "dual-encoder",
    "temperature",
    "alignment",
    "soft-labels",
    "asymmetry",
    "dictionaries",
    "support-sets",
)
"""The lessons, which are `content/NAME.yaml`."""
Text = Annotated[str, Field(min_length=1, max_length=1200)]
"""Plain text, or Markdown without HTML."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Part):
    """Numbers from `least` to `most`."""

    least: float | None = None
    most: float | None = None


class Question(_Part):
    """A question with one right option. What is asked before the learner has seen it is a prediction."""

    question: Text
    options: Annotated[tuple[Text, ...], Field(min_length=2, max_length=5)]
    right: Annotated[int, Field(ge=1)]
    why: Text

    @model_validator(mode="after")
    def _is_answerable(self) -> "Question":
        if self.right > len(self.options):
            raise ValueError(
                f"right: {self.right}, but there are {len(self.options)} options, counted from 1"
            )
        if len(set(self.options)) < len(self.options):
            raise ValueError("two options are equal")
        return self


class Action(_Part):
    """What the learner has to do with a tool.

    Attributes:
        task: Says it.
        control: CSS selector of the control to use, which is highlighted.
        until: Values of the event `learn:acted` that end the step; numbers can be ranges.
        then: Is shown after it.
    """

    task: Text
    control: str
    until: dict[str, bool | str | float | Range]
    then: str = ""


class Step(_Part):
    """A text, and what the learner has to do before the next step: answer, act, or predict and then act.

    Attributes:
        text: What is explained.
        ask: A question. Together with `act` it is asked first and answered after the action.
        act: An action.
        set: Parameters of the tool when the step starts.
    """

    text: Text
    ask: Question | None = None
    act: Action | None = None
    set: dict[str, str] = {}

    @model_validator(mode="after")
    def _waits_for_the_learner(self) -> "Step":
        if not (self.ask or self.act):
            raise ValueError("a step needs `ask` or `act`: it waits for the learner")
        return self


class Lesson(_Part):
    """A lesson of at most five minutes. `tool` is what it is done with; its last step is a check."""

    title: Text
    summary: Text
    minutes: Annotated[int, Field(ge=1, le=5)]
    tool: Literal["matrix", "towers", "space", "labels", "lengths", "queue", "support"]
    steps: Annotated[tuple[Step, ...], Field(min_length=4, max_length=9)]
    sources: Annotated[tuple[Text, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _predicts_and_ends_with_a_check(self) -> "Lesson":
        if not any(step.ask and step.act for step in self.steps):
            raise ValueError(
                "a lesson needs a step with `ask` and `act`: a prediction that the learner tests"
            )
        if self.steps[-1].ask is None or self.steps[-1].act is not None:
            raise ValueError("the last step is a check: `ask` without `act`")
        return self


def read_lesson(path: Path) -> Lesson:
    """Read a lesson.

    Raises:
        ValueError: The file is no lesson; says where.
    """
    content: Any = yaml.safe_load(path.read_text("utf-8"))
    return Lesson.model_validate(content)
