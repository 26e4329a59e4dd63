"""What the comparison of methods trains: the rows of its tables, and the candidate options of each method."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Setting = Literal["picturebook", "flickr8k"]


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    Attributes:
        method: what is trained; empty for the model that all rows start from.
        options: options of the method, added to those of `CHOSEN`.
        settings: arguments of `train` that differ from those of the setting.
        against: row that this one is compared with.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    against: str = "infonce"


FIXED: dict[str, dict[str, Any]] = {"crcgs": {"noise_count": -1}, "coder": {"lambda_s": 0.0}}
"""Options of all rows and candidates of a method, which the recorded figures have.

The prior of CRCGS counts images; CODER retrieves by v and t alone, as all methods do.
"""
CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "infonce": [{}],
    "crcgs": [
        {},
        {"w_ss": 0.1},
        {"w_ss": 1.0},
        {"w_t": 0.02, "w_c": 0.003},
        {"phi": 0.1, "alpha_pair": 0.1},
        {"phi": 0.0, "alpha_pair": 0.0},
        {"phi": 0.0, "alpha_pair": 0.0, "w_t": 0.02, "w_c": 0.003},
    ],
    "coder": [
        {"queue": 1024, "live_batch": False},
        {"queue": 4096, "live_batch": False},
        {"queue": 1024, "live_batch": True},
        {"queue": 4096, "live_batch": True},
        {"queue": 1024, "live_batch": True, "lambda_c": 0.1},
        {"queue": 1024, "live_batch": True, "concept_branch": False},
        {"queue": 4096, "live_batch": True, "concept_branch": False},
        {"queue": 1024, "live_batch": False, "scheme": "none"},
        {"queue": 1024, "live_batch": False, "scheme": "exp", "sharpness": 5.0},
        {"queue": 1024, "live_batch": False, "scheme": "hal"},
        {"queue": 1024, "live_batch": False, "sharpness": 2.0},
    ],
    "ascl": [
        {},
        {"preset": "acf", "u1": 0.0},  # the authors' settings, as far as features without patches allow
        {"negatives": "none"},
        {"w_i": 0.8, "w_pos": 0.2},
        {"positives": "concat"},
        {"positives": "truncate"},
        {"filter_mode": "drop"},
    ],
    "cusa": [
        {},
        {"alpha": 1.0, "beta": 5.0},
        {"alpha": 0.0, "beta": 20.0},
        {"con_reduction": "mean_all"},
        {"con_reduction": "mean_all", "alpha": 0.02},
        {"con_reduction": "mean_all", "beta": 0.1},
        {"con_reduction": "mean_all", "soft_labels": "add"},
    ],
    "ascl+cusa": [
        {"con_reduction": "mean_all"},
        {"con_reduction": "mean_all", "negatives": "none"},
        {"con_reduction": "mean_all", "w_i": 0.8, "w_pos": 0.2},
        {"alpha": 1.0, "beta": 5.0},
    ],
}
CHOSEN: dict[Setting, dict[str, dict[str, Any]]] = {
    "picturebook": {
        "coder": {"queue": 1024, "live_batch": False},
        "cusa": {"con_reduction": "mean_all"},
        "ascl+cusa": {"con_reduction": "mean_all"},
    },
    "flickr8k": {
        "crcgs": {"w_t": 0.02, "w_c": 0.003},
        "coder": {"queue": 1024, "live_batch": True, "lambda_c": 0.1},
        "ascl": {"negatives": "none"},
        "cusa": {"con_reduction": "mean_all"},
        "ascl+cusa": {"con_reduction": "mean_all", "negatives": "none"},
    },
}
"""Options chosen with `select`, where they are not the defaults."""
# All that helped on photos. With five captions per image, weights that equal those of `mean_all` with two.
SIBLINGS = {"siblings": 1.0, "alpha": 25.6, "beta": 128.0}
PIXELS = {"image_features": None}
ROWS = {
    "start": Row(""),
    **{method: Row(method) for method in CANDIDATES},
    "infonce, two captions": Row("infonce", settings={"captions_per_image": 2}),
    "infonce, four captions": Row("infonce", settings={"captions_per_image": 4}),
    "infonce, batch 128": Row("infonce", settings={"batch_size": 128}),  # twice the negatives of a batch
    "infonce+cusa, siblings": Row("infonce+cusa", SIBLINGS, {"captions_per_image": 5}),
    "cusa, CSA only": Row("cusa", {"beta": 0.0}),
    "cusa, USA only": Row("cusa", {"alpha": 0.0}),
    "crcgs, intra-modal only": Row("crcgs", {"inter": False}),
    "crcgs, inter-modal only": Row("crcgs", {"intra": False}),
    "crcgs, authors' prior": Row("crcgs", {"noise_count": 0}),
    "crcgs, objective of the paper": Row("crcgs", {"noise_count": 0, "w_infonce": 0.0}),
    "coder, no queue": Row("coder", {"queue": 0}),
    "coder, queue of 4096": Row("coder", {"queue": 4096}),
    "coder, no concept branch": Row("coder", {"concept_branch": False}),
    "coder, no concept branch, uniform weights": Row("coder", {"concept_branch": False, "scheme": "none"}),
    "coder, momentum keys only": Row("coder", {"live_batch": False}),
    "coder, frozen keys": Row("coder", {"momentum": 1.0}),  # keys that do not follow the encoder
    "coder, retrieval with concepts": Row("coder", {"lambda_s": 0.2}),
    "infonce, batch 16": Row("infonce", settings={"batch_size": 16}),
    "coder, batch 16": Row("coder", settings={"batch_size": 16}, against="infonce, batch 16"),
    # The local similarity needs patch tokens, which cached features do not have.
    "infonce, from pixels": Row("infonce", settings=PIXELS, against="infonce, from pixels"),
    "infonce, two captions, from pixels": Row(
        "infonce", settings=PIXELS | {"captions_per_image": 2}, against="infonce, from pixels"
    ),
    "ascl, from pixels": Row("ascl", settings=PIXELS, against="infonce, from pixels"),
    "ascl, local similarity": Row("ascl", {"u1": 0.8}, PIXELS, against="infonce, from pixels"),
    "ascl, authors' settings": Row("ascl", {"preset": "acf"}, PIXELS, against="infonce, from pixels"),
}
EQUAL_TEXTS: dict[Setting, str] = {
    "picturebook": "infonce, two captions",
    "flickr8k": "infonce, four captions",
}
"""InfoNCE with as many true captions as AsCL reads: it reads a generated caption beside each caption."""
FROM_PIXELS = (
    "infonce, from pixels",
    "infonce, two captions, from pixels",
    "ascl, from pixels",
    "ascl, local similarity",
    "ascl, authors' settings",
)
ENSEMBLE = ", ensemble"
"""Suffix of the rows that merge all trainings of a row."""
ALL_ROWS = (*ROWS, *(name + ENSEMBLE for name in ROWS))
COMPARISONS: tuple[tuple[str, str, Collection[str]], ...] = (
    ("infonce, two captions", "ascl", ("rsum",)),
    ("infonce, four captions", "ascl", ("rsum",)),
    ("coder, no queue", "coder", ("rsum", "i2t_r1")),
    ("coder, frozen keys", "coder", ("rsum", "i2t_r1")),
    ("coder, queue of 4096", "coder", ("rsum",)),
    ("coder, no concept branch", "coder", ("rsum", "i2t_label_map", "t2t_map_at_r")),
)
"""Pairs of rows, the second as baseline, and the metrics that the discussion of the results compares."""


def main_rows(setting: Setting) -> tuple[str, ...]:
    """Return the methods, with the control of AsCL before it."""
    return ("start", "infonce", "crcgs", "coder", EQUAL_TEXTS[setting], "ascl", "cusa", "ascl+cusa")


def chosen(setting: Setting, name: str) -> Row:
    """Return the row of that name with the options chosen for its method in this setting."""
    row = ROWS[name]
    chosen_options = CHOSEN[setting].get(row.method, {})
    return replace(row, options=FIXED.get(row.method, {}) | chosen_options | row.options)


def baseline(name: str) -> str:
    """Return the row that the row of that name, or its ensemble, is compared with."""
    return ROWS[name.removesuffix(ENSEMBLE)].against
