"""Which code computed a figure."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_version() -> str:
    """The package's version and the first 8 hex digits of a sha256 over the core's own source files.

    In a checkout the version alone stays the same over many commits; this tells them apart, and needs no git.
    """
    here = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{version('pairscope')}+{digest.hexdigest()[:8]}"
