"""Meanings as short texts, for columns of tables: what a caption states need not be made again."""

import json
from typing import Any

from itr_core.picturebook.semantics import Meaning, Relation, Variable


def encode(meaning: Meaning) -> str:
    """Return the text of a meaning."""
    return json.dumps(meaning, default=_values, separators=(",", ":"))


def decode(text: str) -> Meaning:
    """Return the meaning of a text that `encode` made."""
    things, relations, *setting = json.loads(text)
    return Meaning(
        tuple(Variable(*each) for each in things), tuple(Relation(*each) for each in relations), *setting
    )


def _values(of: Any) -> list[Any]:
    """Return the arguments that make a dataclass; `dataclasses.astuple` copies them, which takes longer."""
    return [getattr(of, name) for name in of.__match_args__]
