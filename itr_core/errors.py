"""Errors a person can act on: what was wrong, with which value, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class PairscopeError(Exception):
    """Base of every error that Pairscope raises on bad input; its text is fit to be shown to a visitor."""


class SourceError(PairscopeError):
    """A source of pairs is missing, unreadable or not in the layout it claims."""


class ImageError(PairscopeError):
    """One image cannot be decoded safely; callers that walk many images skip it and report it."""


class ModelError(PairscopeError):
    """A model spec, checkpoint or method cannot be used."""


class GalleryError(PairscopeError):
    """A gallery on disk is missing, damaged, or made by something else."""


class QueryError(PairscopeError):
    """A query cannot be answered as asked."""


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return ' Did you mean X?' for the nearest known name, else the list of known names.

    >>> did_you_mean("infonse", ["infonce", "cusa"])
    " Did you mean 'infonce'?"
    """
    names = sorted(known)
    nearest = get_close_matches(value, names, n=1)
    if nearest:
        return f" Did you mean {nearest[0]!r}?"
    return f" Known: {', '.join(names)}." if names else ""
