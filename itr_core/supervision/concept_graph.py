"""What captions speak of: their most frequent content words, and which of these belong together.

A word is known by its stem (Porter 2001, the Snowball stemmer), so that "dogs" names the concept "dog" and
"running" the concept "run"; a concept is called by its commonest form.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from itr_core.errors import SourceError
from itr_core.pairs.pairset import PairSet, Triple
from itr_core.supervision.triples import read_triples
from itr_core.vocabulary import content_words, stem, words_of

SEEN_TOGETHER = 0.168
"""From this conditional probability on, one concept calls up another. CVSE writes it as a threshold of 0.3
on 5^(p - 0.02) - 5^-0.02."""
SHARE_OF_OTHERS = 0.25
"""The weight of all of a concept's neighbours together, before degrees are evened out; its own is 1."""


@dataclass(frozen=True)
class ConceptGraph:
    """K concepts and how they belong together."""

    names: Sequence[str]
    """One word each."""
    adjacency: np.ndarray
    """(K, K) float32, D^-1/2 A D^-1/2, symmetric where A is: what a graph convolution multiplies with."""

    def named_in(self, texts: Sequence[str]) -> np.ndarray:
        """Return bool (len(texts), K): which concepts each text names, in whatever form of the word."""
        rows, columns = [], []
        for row, text in enumerate(texts):
            for word in words_of(text):
                column = self._columns.get(stem(word))
                if column is not None:
                    rows.append(row)
                    columns.append(column)
        named = np.zeros((len(texts), len(self.names)), np.bool_)
        named[rows, columns] = True
        return named

    @cached_property
    def _columns(self) -> Mapping[str, int]:
        return {stem(name): column for column, name in enumerate(self.names)}


def concept_graph(pairs: PairSet, triples: Path | None = None) -> ConceptGraph:
    """Make the concepts of a source; neighbours are those often named together and those known to be related.

    Known relations are those of the source itself (Picturebook's ontology) and those of the file `triples`
    (see `read_triples`); whatever does not relate two of the concepts is passed over. Raises SourceError
    where the captions have no content words or the file is not as it should be.
    """
    names = content_words(pairs.captions)
    if not names:
        raise SourceError(f"{pairs.source}: no caption has a content word, so there are no concepts in it.")
    words = ConceptGraph(names, np.eye(len(names), dtype=np.float32))
    texts, _ = pairs.flat_captions()
    together = np.zeros(words.adjacency.shape)
    for start in range(0, len(texts), 1 << 15):
        named = words.named_in(texts[start : start + (1 << 15)]).astype(np.float32)
        together += named.T @ named  # counts, exact in float32 up to 2^24
    edges = together / np.diag(together)[:, None] >= SEEN_TOGETHER
    for known in (pairs.triples, read_triples(triples) if triples else ()):
        for one, other in _related(words, known):
            edges[one, other] = edges[other, one] = True
    return ConceptGraph(names, normalised(edges))


def _related(words: ConceptGraph, triples: Iterable[Triple]) -> Iterator[tuple[int, int]]:
    for head, _, tail in triples:
        one, other = (words._columns.get(stem(term.lower())) for term in (head, tail))
        if one is not None and other is not None:
            yield one, other


def normalised(edges: np.ndarray) -> np.ndarray:
    """Edges (K, K) bool, i -> j where i calls up j -> the adjacency of a graph convolution, (K, K) float32.

    Neighbours share `SHARE_OF_OTHERS` of a concept's attention, it keeps 1 for itself (Chen et al. 2019,
    Multi-Label Image Recognition with Graph Convolutional Networks, eqs. 7-8, as CVSE has it), and rows and
    columns are divided by the roots of the row sums (Kipf & Welling 2017).
    """
    others = edges & ~np.eye(len(edges), dtype=np.bool_)
    weights = SHARE_OF_OTHERS * others / np.maximum(others.sum(0, keepdims=True), 1) + np.eye(len(edges))
    root = np.sqrt(weights.sum(1))
    return (weights.T / root / root[:, None]).astype(np.float32)
