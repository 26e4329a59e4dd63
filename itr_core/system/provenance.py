"""The versions of package and source code that are recorded with every result."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path


def package_version() -> str:
    """Return the version of the installed package, such as '0.2.0'."""
    return version("pairscope")


@cache
def code_version() -> str:
    """Return the package version and the first 8 hex digits of a SHA-256 over the source files of `itr_core`.

    Many commits of a checkout share one package version; the hash distinguishes them without git. It is
    recorded with results for information only: no cache and no fingerprint depends on it.
    """
    here = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{package_version()}+{digest.hexdigest()[:8]}"
