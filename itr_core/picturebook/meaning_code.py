"""Meanings as short texts, for columns of tables: what a caption states need not be made again."""

import json
from dataclasses import astuple

from itr_core.picturebook.semantics import Meaning, Relation, Variable


def encode(meaning: Meaning) -> str:
    """Return the text of a meaning."""
    return json.dumps(astuple(meaning), separators=(",", ":"))


def decode(text: str) -> Meaning:
    """Return the meaning of a text that `encode` made."""
    things, relations, *setting = json.loads(text)
    return Meaning(
        tuple(Variable(*each) for each in things), tuple(Relation(*each) for each in relations), *setting
    )
