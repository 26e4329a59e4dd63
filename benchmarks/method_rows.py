"""What methods.py compares: every row of its tables, and the options that were tried for each method."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table: a method, or a control of one."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    against: str = "infonce"


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
        {"queue": 1024},
        {"queue": 4096},
        {"queue": 1024, "live_batch": True},
        {"queue": 4096, "live_batch": True},
        {"queue": 1024, "live_batch": True, "lambda_c": 0.1},
        {"queue": 1024, "live_batch": True, "concept_branch": False},
        {"queue": 4096, "live_batch": True, "concept_branch": False},
        {"queue": 1024, "scheme": "none"},
        {"queue": 1024, "scheme": "exp", "sharpness": 5.0},
        {"queue": 1024, "scheme": "hal"},
        {"queue": 1024, "sharpness": 2.0},
    ],
    "ascl": [
        {},
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
CHOSEN: dict[str, dict[str, dict[str, Any]]] = {
    "picturebook": {
        "coder": {"queue": 1024},
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
"""Options of methods, where not their defaults, by `select`."""
SIBLINGS = {"siblings": 1.0, "alpha": 25.6, "beta": 128.0}  # CUSA's weights as with two captions
PIXELS = {"image_features": None}
ROWS = {
    "start": Row(""),  # what all begin with, untrained
    **{method: Row(method) for method in CANDIDATES},
    # What each claim is held against.
    "infonce, two captions": Row("infonce", settings={"captions_per_image": 2}),  # the texts that AsCL reads
    "infonce, batch 128": Row("infonce", settings={"batch_size": 128}),  # twice CODER's negatives of a batch
    "cusa and siblings": Row("infonce+cusa", SIBLINGS, {"captions_per_image": 5}),  # all that helped photos
    "cusa, CSA alone": Row("cusa", {"beta": 0.0}),
    "cusa, USA alone": Row("cusa", {"alpha": 0.0}),
    "infonce, from pixels": Row("infonce", settings=PIXELS),  # the local similarity needs an image's places
    "ascl, from pixels": Row("ascl", settings=PIXELS, against="infonce, from pixels"),
    "ascl, local similarity": Row("ascl", {"u1": 0.8}, PIXELS, against="infonce, from pixels"),
    "crcgs, intra alone": Row("crcgs", {"inter": False}),
    "crcgs, inter alone": Row("crcgs", {"intra": False}),
    "coder, no queue": Row("coder", {"queue": 0}),
    "coder, queue 4096": Row("coder", {"queue": 4096}),
    "coder, instance alone": Row("coder", {"concept_branch": False}),
    "coder, all weights alike": Row("coder", {"concept_branch": False, "scheme": "none"}),
    "coder, batch against keys": Row("coder", {"live_batch": False}),
    "infonce, batch 16": Row("infonce", settings={"batch_size": 16}),
    "coder, batch 16": Row("coder", settings={"batch_size": 16}, against="infonce, batch 16"),
}
MAIN = ("start", "infonce", "crcgs", "coder", "ascl", "cusa", "ascl+cusa")


def chosen(setting: str, name: str) -> Row:
    """The row of that name with the options that its method was given for this setting."""
    row = ROWS[name]
    return replace(row, options=CHOSEN[setting].get(row.method, {}) | row.options)
