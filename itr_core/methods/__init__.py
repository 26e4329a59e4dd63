"""Training objectives, one file per paper; `METHODS` names them."""

from itr_core.errors import ModelError, did_you_mean
from itr_core.methods.base import Method
from itr_core.methods.infonce import InfoNCE

METHODS: dict[str, type[Method]] = {"infonce": InfoNCE}


def make_method(name: str) -> Method:
    """Return a fresh objective; ModelError names the nearest one when `name` is unknown."""
    if name not in METHODS:
        raise ModelError(f"There is no method {name!r}.{did_you_mean(name, METHODS)}")
    return METHODS[name]()


__all__ = ["METHODS", "InfoNCE", "Method", "make_method"]
