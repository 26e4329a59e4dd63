"""What the comparison of methods trains: the rows of its tables, and the candidate options of each method."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Row:
    """One row of the tables, or one candidate.

    Attributes:
        method: what is trained.
        options: options of the method, added to those that validation chose.
        settings: arguments of `train` that differ from those of the setting.
        against: row that this one is compared with.
        first_seed: seed of the first training; a row and its baseline otherwise have the same seeds.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    against: str = "infonce"
    first_seed: int = 0

    @property
    def title(self) -> str:
        """The method, its options and its settings, as a reader of a table needs them."""
        changed = self.options | self.settings
        return " ".join([self.method, *(f"{name}={value}" for name, value in changed.items())])

    def upon(self, choice: "Row") -> "Row":
        """Return this row with the options and settings of another one, where it has none of its own."""
        options = FIXED.get(self.method, {}) | choice.options | self.options
        return replace(self, options=options, settings=choice.settings | self.settings)


FIXED: dict[str, dict[str, Any]] = {"coder": {"lambda_s": 0.0}}
"""Options of all rows of a method: CODER retrieves by v and t alone, as all methods do."""
# Three candidates for every method: the authors' settings first, where they are known.
# InfoNCE: CLIP's learned temperature; the other captions of an image as positives; CLIP's start value, fixed.
CANDIDATES: dict[str, tuple[Row, Row, Row]] = {
    "infonce": (
        Row("infonce"),
        Row("infonce", {"siblings": 1.0}),
        Row("infonce", settings={"temperature": 0.07}),
    ),
    # The paper's objective for COCO, without InfoNCE; beside InfoNCE, at the authors' weights or a tenth.
    "crcgs": (Row("crcgs", {"preset": "coco"}), Row("crcgs"), Row("crcgs", {"w_t": 0.02, "w_c": 0.003})),
    # The authors' hyper-parameters are not public: our defaults take their place.
    "coder": (
        Row("coder"),
        Row("coder", {"queue": 1024, "lambda_c": 0.1}),
        Row("coder", {"queue": 1024, "concept_branch": False}),
    ),
    # Without patches there is no local similarity, so the authors' u1 of 0.8 is 0 here.
    "ascl": (
        Row("ascl", {"preset": "acf", "u1": 0.0}),
        Row("ascl"),
        Row("ascl", {"negatives": "none"}),
    ),
    # alpha=0.1 and beta=0.5 at the scale of the released code, then beside a plain InfoNCE.
    "cusa": (
        Row("cusa", {"con_reduction": "mean_all"}),
        Row("cusa"),
        Row("cusa", {"alpha": 1.0, "beta": 5.0}),
    ),
    "ascl+cusa": (
        Row("ascl+cusa", {"con_reduction": "mean_all"}),
        Row("ascl+cusa", {"con_reduction": "mean_all", "negatives": "none"}),
        Row("ascl+cusa", {"alpha": 1.0, "beta": 5.0}),
    ),
}
MOST_TRAININGS = 100
"""Trainings of a row, at most: other seeds begin after them."""
# As many texts as AsCL reads: a generated caption beside each of the two captions of the settings.
EQUAL_TEXTS = "infonce, four captions"
MAIN = ("infonce", "crcgs", "coder", EQUAL_TEXTS, "ascl", "cusa", "ascl+cusa")
"""The methods, with the control of AsCL before it."""
ROWS = {
    **{method: Row(method) for method in CANDIDATES},
    EQUAL_TEXTS: Row("infonce", settings={"captions_per_image": 4}),
    "infonce, other seeds": Row("infonce", first_seed=MOST_TRAININGS),  # what chance alone does
    "crcgs, L_o alone": Row("crcgs", {"w_t": 0.0, "w_c": 0.0, "w_ss": 0.0, "use_adv": False}),
    "crcgs, intra-modal only": Row("crcgs", {"inter": False}),
    "crcgs, inter-modal only": Row("crcgs", {"intra": False}),
    "coder, no queue": Row("coder", {"queue": 0}),
    "coder, frozen keys": Row("coder", {"queue": 1024, "momentum": 1.0}),  # not updated in training
    "coder, moving keys": Row("coder", {"queue": 1024}),
    "coder, uniform weights": Row("coder", {"scheme": "none"}),
    "coder, no concept branch": Row("coder", {"concept_branch": False}),
    "coder, concept branch": Row("coder", {"concept_branch": True}),
    "ascl, no generated negatives": Row("ascl", {"negatives": "none"}),
    "ascl, feature noise": Row("ascl", {"negatives": "feature"}),
    "ascl, word noise": Row("ascl", {"negatives": "token"}),
    "cusa, CSA only": Row("cusa", {"beta": 0.0}),
    "cusa, USA only": Row("cusa", {"alpha": 0.0}),
}
"""All rows by their title, the controls after the methods."""
COMPARISONS: tuple[tuple[str, str, Collection[str]], ...] = (
    (EQUAL_TEXTS, "ascl", ("rsum",)),
    ("crcgs", "crcgs, L_o alone", ("rsum", "t2i_label_map", "i2t_label_map", "t2i_code_map", "i2t_code_map")),
    ("coder, moving keys", "coder, frozen keys", ("rsum", "i2t_r1", "t2i_r1")),
    ("coder, moving keys", "coder, no queue", ("rsum", "i2t_r1", "t2i_r1")),
    ("coder", "coder, uniform weights", ("rsum",)),
    ("coder, concept branch", "coder, no concept branch", ("rsum", "t2t_map_at_r", "i2t_label_map")),
    ("ascl, feature noise", "ascl, no generated negatives", ("rsum",)),
    ("ascl, word noise", "ascl, no generated negatives", ("rsum",)),
    ("cusa", "cusa, CSA only", ("rsum", "t2t_map_at_r")),
    ("cusa", "cusa, USA only", ("rsum",)),
)
"""Pairs of rows, the second as baseline, and the metrics in which they are compared."""
CHOSEN: dict[str, dict[str, dict[str, Any]]] = {
    "picturebook": {
        "coder": {"queue": 1024, "live_batch": False, "lambda_s": 0.0},
        "cusa": {"con_reduction": "mean_all"},
    },
}
"""Options of the continued starters (starter_runs.py) and of the runs of the Learn page (learn_data.py)."""


def row_of(name: str, choices: Mapping[str, Row]) -> Row:
    """Return the row of that name with what validation chose for its method, if it has chosen."""
    row = ROWS[name]
    return row.upon(choices.get(row.method, Row(row.method)))


def baseline(name: str) -> str:
    """Return the row that the row of that name is compared with."""
    return ROWS[name].against
