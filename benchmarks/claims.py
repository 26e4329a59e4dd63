"""The claims of the papers as a table of sentences: claim, place, figure, and whether it holds here.

Nothing is judged by hand: a claim names the figures that test it, and its outcome follows from their
intervals.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from result_tables import cell_text
from results import Estimate, Measurement, Result


@dataclass(frozen=True)
class Figure:
    """A difference in the results that tests a claim.

    Attributes:
        path: result/table/row/column.
        claimed: sign of the difference that the paper claims, 1 or -1.
    """

    path: str
    claimed: int = 1


@dataclass(frozen=True)
class Claim:
    """One row of the table.

    Attributes:
        method: whose claim it is.
        sentence: what is claimed.
        place: paper and place.
        figure: what tests it; None if nothing here can.
        reason: why nothing can.
    """

    method: str
    sentence: str
    place: str
    figure: Figure | None = None
    reason: str = ""


CRCGS, CODER, ASCL, CUSA = (
    "[SIGIR 2022](https://doi.org/10.1145/3477495.3531783)",
    "[ECCV 2022](https://arxiv.org/abs/2208.09843)",
    "[ICME 2024](https://arxiv.org/abs/2405.10029)",
    "[AAAI 2024](https://arxiv.org/abs/2403.05261)",
)
_PHOTOS, _DRAWN = "methods_features", "methods_picturebook"

CLAIMS = (
    Claim("CUSA", "raises rSum", f"{CUSA}, Table 8", Figure(f"{_PHOTOS}/main_recall/cusa/rsum")),
    Claim(
        "CUSA",
        "CSA alone raises rSum",
        f"{CUSA}, Table 8",
        Figure(f"{_PHOTOS}/controls_recall/cusa, CSA only/rsum"),
    ),
    Claim(
        "CUSA",
        "USA alone raises rSum",
        f"{CUSA}, Table 8",
        Figure(f"{_PHOTOS}/controls_recall/cusa, USA only/rsum"),
    ),
    Claim(
        "CUSA",
        "raises mAP@R of T2I",
        f"{CUSA}, Table 9",
        Figure(f"{_DRAWN}/main_precision/cusa/t2i_map_at_r"),
    ),
    Claim(
        "CUSA",
        "raises mAP@R of I2T",
        f"{CUSA}, Table 9",
        Figure(f"{_DRAWN}/main_precision/cusa/i2t_map_at_r"),
    ),
    Claim(
        "CUSA",
        "USA raises retrieval of texts by texts",
        f"{CUSA}, Table 11",
        Figure(f"{_PHOTOS}/controls_uni_modal/cusa, USA only/t2t_map_at_r"),
    ),
    Claim(
        "CUSA",
        "CSA alone lowers it",
        f"{CUSA}, Table 11",
        Figure(f"{_PHOTOS}/controls_uni_modal/cusa, CSA only/t2t_map_at_r", -1),
    ),
    Claim(
        "CUSA",
        "USA raises retrieval of images by images (CUB, SOP, In-Shop, iNaturalist)",
        f"{CUSA}, Table 10",
        reason="the photos are not at hand; the recipe `cusa-uni-modal` has the protocol",
    ),
    Claim("AsCL", "raises rSum", f"{ASCL}, abstract", Figure(f"{_PHOTOS}/main_recall/ascl/rsum")),
    Claim(
        "AsCL",
        "raises rSum over InfoNCE with as many texts",
        "control of the above",
        Figure(f"{_PHOTOS}/comparisons/infonce, four captions against ascl: rSum/difference", -1),
    ),
    Claim(
        "AsCL",
        "noise on word features as negatives raises rSum",
        f"{ASCL}, Fig. 3b",
        Figure(
            f"{_PHOTOS}/comparisons/ascl, feature noise against ascl, no generated negatives: rSum/difference"
        ),
    ),
    Claim(
        "AsCL",
        "lowers the distance of positive pairs",
        f"{ASCL}, Fig. 4",
        Figure(f"{_PHOTOS}/main_distance/ascl/positive_distance", -1),
    ),
    Claim(
        "AsCL",
        "raises the distance of negative pairs",
        f"{ASCL}, Fig. 4",
        Figure(f"{_PHOTOS}/main_distance/ascl/negative_distance"),
    ),
    Claim(
        "AsCL",
        "raises recall of short queries",
        f"{ASCL}, Fig. 5",
        Figure(f"{_PHOTOS}/main_recall/ascl/short_t2i_r10"),
    ),
    Claim(
        "AsCL",
        "the local similarity raises rSum",
        f"{ASCL}, abstract",
        Figure(f"{_DRAWN}/pixels/ascl, local similarity/rsum"),
    ),
    Claim("CODER", "raises rSum", f"{CODER}, abstract", Figure(f"{_PHOTOS}/main_recall/coder/rsum")),
    *(
        Claim(
            "CODER",
            sentence,
            f"{CODER}, abstract",
            Figure(f"{_PHOTOS}/comparisons/{rows}: rSum/difference"),
        )
        for sentence, rows in (
            ("gains from its dictionaries, the queues", "coder, moving keys against coder, no queue"),
            ("gains because their keys follow the encoder", "coder, moving keys against coder, frozen keys"),
            ("gains from the weights of its negatives", "coder against coder, uniform weights"),
            ("gains from the concept branch", "coder, concept branch against coder, no concept branch"),
        )
    ),
    Claim(
        "CRCGS",
        "raises label mAP of I2T",
        f"{CRCGS}, abstract",
        Figure(f"{_DRAWN}/main_precision/crcgs/i2t_label_map"),
    ),
    Claim(
        "CRCGS",
        "raises label mAP of T2I",
        f"{CRCGS}, abstract",
        Figure(f"{_DRAWN}/main_precision/crcgs/t2i_label_map"),
    ),
    *(
        Claim(
            "CRCGS",
            f"its generative terms raise {metric} over the same objective without them",
            f"{CRCGS}, abstract",
            Figure(f"{_DRAWN}/comparisons/crcgs against crcgs, L_o alone: {metric}/difference"),
        )
        for metric in ("I2T label mAP", "I2T label mAP, codes", "T2I label mAP, codes")
    ),
    Claim(
        "CRCGS",
        "label mAP of codes on MIRFlickr, NUS-WIDE and COCO",
        f"{CRCGS}, results of the authors' code",
        reason="the photos are not at hand; the recipes `crcgs-mirflickr`, `crcgs-nuswide` and `crcgs-coco` "
        "have the protocol",
    ),
)
COLUMNS = ("method", "claim", "where", "measured here", "holds?")


def claims_table(results: Mapping[str, Result], claims: Iterable[Claim] = CLAIMS) -> str:
    """Return the claims as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for claim in claims:
        measured, outcome = _judged(claim, results)
        cells = (claim.method, claim.sentence, claim.place, measured, outcome)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _judged(claim: Claim, results: Mapping[str, Result]) -> tuple[str, str]:
    """Return the figure as text, and the outcome."""
    figure = claim.figure
    if figure is None:
        return "", f"cannot be tested here: {claim.reason}"
    result_name, table_name, title, key = figure.path.split("/")
    table = results[result_name].tables.get(table_name) if result_name in results else None
    row = next((row for row in table.rows if row.title == title), None) if table else None
    cell = row.cells.get(key) if row else None
    estimate = None
    if isinstance(cell, Measurement):
        estimate = cell if key == "difference" else cell.difference
    if table is None or estimate is None:
        return "", "not measured yet"
    column = table.columns[key]
    metric = "" if key == "difference" else f": {column.title}"
    shown = cell_text(Measurement(**dict(estimate)), f"+{column.format.removeprefix('+')}")
    return f"{title}{metric} {shown} (`{result_name}`)", outcome(estimate, figure.claimed)


def outcome(difference: Estimate, claimed: int) -> str:
    """Return whether a claim holds.

    An interval over images alone is too narrow to show that a claim or its opposite holds. But if it contains
    0, a wider one does, too.

    Args:
        difference: the difference, with its interval.
        claimed: its sign according to the paper, 1 or -1.
    """
    if difference.low is None or difference.high is None:
        return "undecided: no interval"
    low, high = sorted((claimed * difference.low, claimed * difference.high))
    if low > 0:
        return "held" if difference.trainings else "undecided: the interval is over images alone"
    return "the opposite was measured" if high < 0 and difference.trainings else "not shown"
