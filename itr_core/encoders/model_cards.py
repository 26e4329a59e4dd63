"""The figures on the cards of the starter models."""

import re

from itr_core.encoders.loading import starters
from itr_core.encoders.model_specs import STARTERS

_ROW = re.compile(r"\| (\w+) \| (-?[\d.]+) \|")


def card_figures(spec: str) -> dict[str, float]:
    """Return the measured figures of a starter's card by name, such as full_t2i_r1 in percent.

    Args:
        spec: A model spec, such as 'starter:infonce'; for a model that is no starter, there are no figures.
    """
    if spec not in starters():
        return {}
    card = STARTERS / spec.removeprefix("starter:") / "README.md"
    rows = map(_ROW.fullmatch, card.read_text(encoding="utf-8").splitlines()) if card.is_file() else ()
    return {row[1]: float(row[2]) for row in rows if row}
