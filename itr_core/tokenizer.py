"""Words and sub-words: a small tokenizer trained on captions, and what a tokenizer makes of a text."""

import re
import unicodedata
from typing import Any

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, in order.

    >>> words_of("Two dogs' toys; it's RED")
    ['two', 'dogs', 'toys', "it's", 'red']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def special_ids(tokenizer: Any) -> tuple[list[int], int | None]:
    """Ids that stand for no part of a text, and the id that ends one (None where there is none)."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    end = inner.eot_token_id if hasattr(inner, "eot_token_id") else inner.eos_token_id
    return list(inner.all_special_ids), end


def cut(tokenizer: Any, text: str) -> tuple[str, str]:
    """Split `text` where the tokenizer cuts it to its context: `(kept, lost)`, `kept + lost == text`.

    `kept` is the longest run of whole words that survives; of a single word that is too long, the longest part.
    """
    if _fits(tokenizer, text):
        return text, ""
    ends = [0, *(match.end() for match in re.finditer(r"\S+", text))]
    if not _fits(tokenizer, text[: ends[1]]):
        ends = list(range(ends[1] + 1))
    low, high = 0, len(ends) - 1  # the first `low` boundaries fit, boundary `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(tokenizer, text[: ends[middle]]) else (low, middle)
    return text[: ends[low]], text[ends[low] :]


def _fits(tokenizer: Any, text: str) -> bool:
    """Whether a context twice as long would show no more of the text."""
    length = tokenizer.context_length
    padding = tokenizer([""], length)[0, -1]
    return bool((tokenizer([text], 2 * length)[0, length:] == padding).all())
