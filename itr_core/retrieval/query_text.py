"""The text of a query, as people and programs send it."""

import unicodedata

from itr_core.errors import QueryError

MAX_CHARACTERS = 10_000
"""Characters of a query that are used, far more than any text tower reads."""


def normalised(query: str | None) -> str:
    """Return a query in Unicode NFC with single spaces, without zero bytes and lone surrogates.

    None is an empty query.

    Raises:
        QueryError: The query is no text.
    """
    if query is None:
        return ""
    if not isinstance(query, str):
        raise QueryError(f"A query of type {type(query).__name__} is no text: send a string.")
    text = query[:MAX_CHARACTERS].encode("utf-8", "ignore").decode().replace("\0", " ")
    return " ".join(unicodedata.normalize("NFC", text).split())
