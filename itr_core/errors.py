"""Exceptions for bad input. Every message names the wrong value and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS


class PairscopeError(Exception):
    """Base of all errors that Pairscope raises for bad input; visitors of the app may see the message."""


class SourceError(PairscopeError):
    """A source of pairs is missing, unreadable or in another layout than expected."""


class ImageError(PairscopeError):
    """An image cannot be decoded safely. Code that reads many images skips it and reports it."""


class ModelError(PairscopeError):
    """A model spec, checkpoint or method cannot be used."""


class GalleryError(PairscopeError):
    """A gallery on disk is missing, damaged or in an unknown format."""


class WriteError(PairscopeError, OSError):
    """A file or folder cannot be written, because the disk is full or writing is not allowed.

    What was there before is unchanged. `errno`, `strerror` and `filename` are those of the operating system.
    """

    def __str__(self) -> str:
        """Name the file, the reason and the remedy."""
        if self.errno in NOT_ALLOWED:
            remedy = "Choose a folder with write permission (for the cache, with PAIRSCOPE_CACHE)."
        else:
            remedy = (
                "Free disk space, or choose a folder on a larger disk (for the cache, with PAIRSCOPE_CACHE), "
                "and repeat the command. What was there before is unchanged."
            )
        return f"{self.filename} cannot be written ({self.strerror}). {remedy}"


NOT_ALLOWED = frozenset({EACCES, EPERM, EROFS})
"""Error numbers of writing where that is not allowed."""
DISK_FULL = frozenset({ENOSPC, EDQUOT, EFBIG})
"""Error numbers of a full disk, of a quota and of a file that is too large for its file system."""


class QueryError(PairscopeError):
    """A query is invalid."""


def reason_of(error: BaseException) -> str:
    r"""Return the first line of the message of an error of a library, or its type if it has no message.

    >>> reason_of(OSError("no route to host\nat 10.0.0.1")), reason_of(TimeoutError())
    ('no route to host', 'TimeoutError')
    """
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


MOST_LISTED = 100
"""Known names that a message lists, at most; timm has over a thousand models."""


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return ' Did you mean X?' with the most similar known name, else the list of known names.

    A list of more than `MOST_LISTED` names is left out.

    >>> did_you_mean("infonse", ["infonce", "cusa"])
    " Did you mean 'infonce'?"
    """
    names = sorted(known)
    nearest = get_close_matches(value, names, n=1)
    if nearest:
        return f" Did you mean {nearest[0]!r}?"
    if len(names) > MOST_LISTED:
        return f" None of the {len(names):,} known names is similar."
    return f" Known: {', '.join(names)}." if names else ""
