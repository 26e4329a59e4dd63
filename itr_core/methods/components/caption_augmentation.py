"""Captions that tell more of an image, less of it, or what is untrue: the generated samples of AsCL.

An image and its caption rarely tell the same. A caption that tells less or more and stays true (the paper's
asymmetries II and III) makes a positive; one that carries what the image does not show (asymmetry I) makes a
negative. Operations work on words, as strings, except for those of the released code, which make negatives by
noise on the word tokens of a caption (`noise_tokens`).

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
    """Tell more: two captions of one image, drawn with replacement, one after the other."""
    return " ".join(captions[index] for index in random.integers(len(captions), size=2).tolist())


def truncate(caption: str) -> str:
    """Tell less: the first half of the words, rounded down, at least one.

    >>> truncate("two dogs run on a beach")
    'two dogs run'
    """
    words = caption.split()
    return " ".join(words[: max(1, len(words) // 2)])


def paraphrase(caption: str, synonyms: Synonyms, random: np.random.Generator, rate: float = 0.2) -> str:
    """Tell the same otherwise: replace words by synonyms, leave words out, or exchange words, at random.

    One of the three is drawn among those that can change this caption, and touches a share `rate` of its
    words, at least one. From Wei & Zou, EDA, arXiv:1901.11196; without its insertion of synonyms, as in the
    released code.
    """
    words = caption.split()
    known = [place for place, word in enumerate(words) if _bare(word) in synonyms]
    touched = max(1, round(rate * len(words)))
    ways = ["replace"] * bool(known) + ["leave out", "exchange"] * (len(words) > 1)
    match ways and ways[random.integers(len(ways))]:
        case "replace":
            for place in random.permutation(known)[:touched]:
                options = synonyms[_bare(words[place])]
                words[place] = _instead(words[place], options[int(random.integers(len(options)))])
        case "leave out":
            gone = random.permutation(len(words))[: min(touched, len(words) - 1)]
            words = [word for place, word in enumerate(words) if place not in gone]
        case "exchange":
            for _ in range(touched):
                one, other = random.choice(len(words), 2, replace=False)
                words[one], words[other] = words[other], words[one]
    return " ".join(words)


def synonyms_of(triples: Iterable[tuple[str, str, str]]) -> dict[str, list[str]]:
    """Read a table of single words from what is known of words, both ways.

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
    """Splice the first half of another image's caption in, before any word or at the end."""
    words = caption.split()
    place = random.integers(len(words) + 1)
    return " ".join([*words[:place], truncate(other), *words[place:]])


def shuffle(caption: str, random: np.random.Generator) -> str:
    """Put the words in another order; a caption that has only one stays as it is."""
    words = caption.split()
    if len(set(words)) < 2:
        return caption
    while (shuffled := random.permutation(words).tolist()) == words:
        pass
    return " ".join(shuffled)


def drop(caption: str, random: np.random.Generator) -> str:
    """Leave out half of the words, rounded down, wherever they stand."""
    words = caption.split()
    kept = np.sort(random.permutation(len(words))[len(words) // 2 :])
    return " ".join(words[place] for place in kept)


class WordSwapper:
    """Replaces a content word by one that no caption of the image says, nor a form or synonym of it.

    captions: of each image. Content words are the most frequent ones of all captions.
    """

    def __init__(self, captions: Sequence[Sequence[str]], synonyms: Synonyms) -> None:
        self.words = content_words(captions)
        self._place = {stem(word): place for place, word in enumerate(self.words)}
        self._synonyms = synonyms
        self._said = np.zeros((len(captions), len(self.words)), dtype=bool)
        self._rows: dict[str, list[int]] = {}
        for row, texts in enumerate(captions):
            self._said[row, self._places(texts)] = True
            for text in dict.fromkeys(texts):
                self._rows.setdefault(text, []).append(row)

    def __call__(self, caption: str, random: np.random.Generator) -> str:
        """Return the caption with one word replaced; itself where there is nothing to replace.

        Of a caption that several images share, all their captions count; of one that is not of the source
        (words were dropped from it), only itself is known.
        """
        words = caption.split()
        known = [place for place, word in enumerate(words) if stem(_bare(word)) in self._place]
        images = self._said[self._rows.get(caption, [])].any(axis=0)
        fresh = np.setdiff1d(np.flatnonzero(~images), self._places([caption]))
        if not known or not len(fresh):
            return caption
        place = known[random.integers(len(known))]
        words[place] = _instead(words[place], self.words[fresh[random.integers(len(fresh))]])
        return " ".join(words)

    def _places(self, texts: Iterable[str]) -> list[int]:
        """Which of the content words the texts say, in any form or by a synonym."""
        said = set(chain.from_iterable(map(words_of, texts)))
        said.update(*(self._synonyms.get(word, ()) for word in said.copy()))
        return [self._place[stem(word)] for word in said if stem(word) in self._place]


def _bare(word: str) -> str:
    """The word without the punctuation around it, lower case; "" where there is none."""
    return "".join(words_of(word)[:1])


def _instead(word: str, new: str) -> str:
    """`new` with the punctuation around `word`.

    >>> _instead("(Dog),", "cat")
    '(cat),'
    """
    return word.lower().replace(_bare(word), new, 1)


# -- noise on word tokens ------------------------------------------------------------------------------------


def noise_tokens(tokens: Tensor, operation: str) -> Tensor:
    """Make the word tokens (B, L, d) of B captions untrue; draws from torch's global generator.

    gauss: add standard normal noise. dropout: set half of the features to 0 and double the rest. shuffle: put
    the L positions, padding included, in another order, the same for the whole batch; alone it would change
    no mean over words, so it works by what it mixes in from outside the mask. zero: set either one feature or
    one position to 0, the same for the whole batch.
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
    raise ValueError(f"There is no noise {operation!r}; known: {', '.join(FEATURE_NOISE)}.")
