"""Caption augmentation of AsCL: captions with more content, less content, or untrue content.

The information in an image and in its caption is asymmetric. A caption with less or more content that is
still true (asymmetries II and III of the paper) is a positive; one with content that the image does not
show (asymmetry I) is a negative. Operations work on words, as strings. The released code instead makes
negatives by noise on the word tokens (`noise_tokens`).

Gong et al., AsCL, arXiv:2405.10029, figs. 1 and 3; the rules of the positives and of the noise are those of
the authors' code of the extension ACF-R+.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.vocabulary import content_words, stem, words_of

POSITIVES = ("concat", "truncate", "paraphrase")
TEXT_NOISE = ("insert", "swap", "shuffle", "drop")
FEATURE_NOISE = ("gauss", "dropout", "shuffle", "zero")

Synonyms = Mapping[str, Sequence[str]]


# -- true captions -------------------------------------------------------------------------------------------


def concat(captions: Sequence[str], random: np.random.Generator) -> str:
    """Concatenate two captions of one image, drawn with replacement (more content)."""
    return " ".join(captions[index] for index in random.integers(len(captions), size=2).tolist())


def truncate(caption: str) -> str:
    """Return the first half of the words, rounded down, at least one (less content).

    >>> truncate("two dogs run on a beach")
    'two dogs run'
    """
    words = caption.split()
    return " ".join(words[: max(1, len(words) // 2)])


def paraphrase(caption: str, synonyms: Synonyms, random: np.random.Generator, rate: float = 0.2) -> str:
    """Paraphrase a caption: replace words by synonyms, delete words, or swap words, at random.

    One of the three operations that can change this caption is drawn. It changes a fraction `rate` of the
    words, at least one. From Wei & Zou, EDA, arXiv:1901.11196; without its insertion of synonyms, as in the
    released code.
    """
    words = caption.split()
    known = [place for place, word in enumerate(words) if _bare(word) in synonyms]
    touched = max(1, round(rate * len(words)))
    ways = ["replace"] * bool(known) + ["delete", "swap"] * (len(words) > 1)
    match ways and ways[random.integers(len(ways))]:
        case "replace":
            for place in random.permutation(known)[:touched]:
                options = synonyms[_bare(words[place])]
                words[place] = _with_punctuation_of(words[place], options[int(random.integers(len(options)))])
        case "delete":
            gone = random.permutation(len(words))[: min(touched, len(words) - 1)]
            words = [word for place, word in enumerate(words) if place not in gone]
        case "swap":
            for _ in range(touched):
                one, other = random.choice(len(words), 2, replace=False)
                words[one], words[other] = words[other], words[one]
    return " ".join(words)


def synonyms_of(triples: Iterable[tuple[str, str, str]]) -> dict[str, list[str]]:
    """Collect the synonyms of single words, in both directions.

    >>> synonyms_of([("puppy", "Synonym", "dog"), ("puppy", "IsA", "pet"), ("pine tree", "Synonym", "pine")])
    {'puppy': ['dog'], 'dog': ['puppy']}
    """
    table: dict[str, list[str]] = {}
    for head, relation, tail in triples:
        if relation == "Synonym" and " " not in head + tail:
            table.setdefault(head, []).append(tail)
            table.setdefault(tail, []).append(head)
    return table


# -- untrue captions -----------------------------------------------------------------------------------------


def insert(caption: str, other: str, random: np.random.Generator) -> str:
    """Insert the first half of a caption of another image at a random position."""
    words = caption.split()
    place = random.integers(len(words) + 1)
    return " ".join([*words[:place], truncate(other), *words[place:]])


def shuffle(caption: str, random: np.random.Generator) -> str:
    """Permute the words. A caption without two different words is returned unchanged."""
    words = caption.split()
    if len(set(words)) < 2:
        return caption
    while (shuffled := random.permutation(words).tolist()) == words:
        pass
    return " ".join(shuffled)


def drop(caption: str, random: np.random.Generator) -> str:
    """Delete a random half of the words, rounded down."""
    words = caption.split()
    kept = np.sort(random.permutation(len(words))[len(words) // 2 :])
    return " ".join(words[place] for place in kept)


class WordSwapper:
    """Replaces a content word by one that no caption of the image contains, in any form or as a synonym.

    Args:
        captions: the captions of each image. The content words are the most frequent ones of all captions.
        synonyms: word -> its synonyms.
    """

    def __init__(self, captions: Sequence[Sequence[str]], synonyms: Synonyms) -> None:
        self.words = content_words(captions)
        self._place = {stem(word): place for place, word in enumerate(self.words)}
        self._synonyms = synonyms
        self._contains = np.zeros((len(captions), len(self.words)), dtype=bool)
        self._rows: dict[str, list[int]] = {}
        for row, texts in enumerate(captions):
            self._contains[row, self._indices(texts)] = True
            for text in dict.fromkeys(texts):
                self._rows.setdefault(text, []).append(row)

    def __call__(self, caption: str, random: np.random.Generator) -> str:
        """Return the caption with one word replaced, or unchanged if no word can be replaced.

        For a caption that several images share, the captions of all these images are considered; for a
        caption that is not in the source (words were dropped from it), only itself.
        """
        words = caption.split()
        known = [place for place, word in enumerate(words) if stem(_bare(word)) in self._place]
        images = self._contains[self._rows.get(caption, [])].any(axis=0)
        fresh = np.setdiff1d(np.flatnonzero(~images), self._indices([caption]))
        if not known or not len(fresh):
            return caption
        place = known[random.integers(len(known))]
        words[place] = _with_punctuation_of(words[place], self.words[fresh[random.integers(len(fresh))]])
        return " ".join(words)

    def _indices(self, texts: Iterable[str]) -> list[int]:
        """Return the indices of the content words in the texts, in any form or as a synonym."""
        words = set(chain.from_iterable(map(words_of, texts)))
        words.update(*(self._synonyms.get(word, ()) for word in words.copy()))
        return [self._place[stem(word)] for word in words if stem(word) in self._place]


def _bare(word: str) -> str:
    """Return the word in lower case without punctuation around it; "" if there is no word."""
    return "".join(words_of(word)[:1])


def _with_punctuation_of(word: str, new: str) -> str:
    """Return `new` with the punctuation around `word`.

    >>> _with_punctuation_of("(Dog),", "cat")
    '(cat),'
    """
    return word.lower().replace(_bare(word), new, 1)


# -- noise on word tokens ------------------------------------------------------------------------------------


def noise_tokens(tokens: Tensor, operation: str) -> Tensor:
    """Add noise to the word tokens (B, L, d) of B captions. Uses the global random generator of torch.

    Args:
        tokens: (B, L, d).
        operation: "gauss" adds standard normal noise; "dropout" sets half of the features to 0 and doubles
            the rest; "shuffle" permutes the L positions, padding included, equally for the whole batch (the
            mean over words changes only by the padding that is mixed in); "zero" sets one feature or one
            position to 0, the same for the whole batch.

    Raises:
        ValueError: an unknown operation.
    """
    _, length, width = tokens.shape
    match operation:
        case "gauss":
            return tokens + torch.randn_like(tokens)
        case "dropout":
            return F.dropout(tokens, 0.5)
        case "shuffle":
            return tokens[:, torch.randperm(length).to(tokens.device)]
        case "zero":
            noised = tokens.clone()
            if torch.rand(()) < 0.5:
                noised[..., int(torch.randint(width, ()))] = 0
            else:
                noised[:, int(torch.randint(length, ()))] = 0
            return noised
    raise ValueError(f"Unknown noise {operation!r}; known: {', '.join(FEATURE_NOISE)}.")
