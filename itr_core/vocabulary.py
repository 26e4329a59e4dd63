"""Words of captions: how a text is cut into words, the stem of a word, and the most frequent content words.

A word is identified by its stem (Porter 2001, the Snowball stemmer), so that "dogs" counts as "dog" and
"running" as "run".
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache

import numpy as np
import snowballstemmer
from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from itr_core.system.imports import import_lock

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words, in order.

    >>> words_of("Two dogs' toys; it's RED")
    ['two', 'dogs', 'toys', "it's", 'red']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def word_count(text: str) -> int:
    """Return the length of a caption or query: its number of words between spaces.

    >>> word_count("Two dogs' toys; it's RED")
    5
    """
    return len(text.split())


def word_counts(texts: Sequence[str]) -> np.ndarray:
    """Return the `word_count` of each text, int64."""
    return np.fromiter(map(word_count, texts), dtype=np.int64, count=len(texts))


def unseen_words(text: str, seen: Collection[str]) -> list[str]:
    """Return the words of a text that are not among those seen, in order and without repetition.

    The list is empty if nothing is known to be seen.

    >>> unseen_words("A dog, a zebra", {"a", "dog"}), unseen_words("a zebra", ())
    (['zebra'], [])
    """
    return [word for word in dict.fromkeys(words_of(text)) if word not in seen] if seen else []


CONCEPTS = 300
"""Maximum number of concepts, as in CVSE (Wang et al., ECCV 2020)."""

_IRREGULAR = {"children": "child", "people": "person", "feet": "foot", "teeth": "tooth", "mice": "mouse"}


@cache
def english_stop_words() -> frozenset[str]:
    """Return words without content, such as articles, prepositions and negations."""
    with import_lock:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # half a second to import

    return frozenset(ENGLISH_STOP_WORDS)


def content_words(captions: Sequence[Sequence[str]], size: int = CONCEPTS) -> list[str]:
    """Return the most frequent content words of the captions of all images, most frequent first.

    Stop words, numbers and single letters are excluded. Inflected forms (dog, dogs) count as one word,
    which is returned in its most frequent form. At most `size` words; equally frequent words in
    alphabetical order.

    >>> content_words([["two dogs and a cat", "a dog runs"], ["the dog is running", "3 cats run"]])
    ['dog', 'run', 'cat']
    """
    forms: dict[str, Counter[str]] = {}
    counts = Counter(word for texts in captions for text in texts for word in words_of(text))
    for word, count in sorted(counts.items()):
        if word not in english_stop_words() and word.isalpha() and len(word) > 1:
            forms.setdefault(stem(word), Counter())[word] += count
    ranked = sorted(forms.values(), key=lambda each: -each.total())
    return [each.most_common(1)[0][0] for each in ranked[:size]]


def words_named(columns: Mapping[str, int], texts: Sequence[str]) -> np.ndarray:
    """Return bool (len(texts), len(columns)): which words each text names, in any form of the word.

    Args:
        columns: the stem of each word -> its column.
        texts: texts.

    >>> words_named({stem("dog"): 0, stem("run"): 1}, ["Two dogs.", "She is running."])
    array([[ True, False],
           [False,  True]])
    """
    named = np.zeros((len(texts), len(columns)), np.bool_)
    for row, text in enumerate(texts):
        for word in words_of(text):
            column = columns.get(stem(word))
            if column is not None:
                named[row, column] = True
    return named


def nearest_word(word: str, known: Mapping[str, int]) -> str | None:
    """Return the known word that a mistyped one probably is; None if none is near.

    One letter may be missing, extra, wrong or swapped with the next one, in words of seven and more letters
    two, but the first letter is right. Of equally near words the one with the more similar beginning is
    returned, then the more frequent one.

    Args:
        word: A word in lower case.
        known: Known words with their frequencies.

    >>> nearest_word("elefant", {"elephant": 3, "dog": 9}), nearest_word("tiger", {"tower": 1})
    ('elephant', None)
    """
    candidates = [each for each in known if each[:1] == word[:1]]
    most = 1 if len(word) < 7 else 2
    near = process.extract(
        word, candidates, scorer=DamerauLevenshtein.distance, score_cutoff=most, limit=None
    )
    if len(word) < 3 or not near:
        return None
    return min(near, key=lambda each: (each[1], -JaroWinkler.similarity(word, each[0]), -known[each[0]]))[0]


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return the stem that the forms of a lower-case word share; it need not be a word.

    >>> stem("babies") == stem("baby"), stem("women") == stem("woman"), stem("skater") == stem("skating")
    (True, True, False)
    """
    if word.endswith("men"):
        word = word.removesuffix("men") + "man"
    one = snowballstemmer.stemmer("english")  # a shared one would mix up the words of several threads
    return one.stemWord(_IRREGULAR.get(word, word))
