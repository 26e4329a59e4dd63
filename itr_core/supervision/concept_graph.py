"""A graph of concepts: the most frequent content words of captions, and which of them are related.

Words are compared by their stems, so that "dogs" names the concept "dog" (see `itr_core.vocabulary`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from itr_core.errors import SourceError
from itr_core.pairs.pairset import PairSet, Triple
from itr_core.supervision.triples import read_triples
from itr_core.vocabulary import content_words, stem, words_named

MIN_COOCCURRENCE = 0.168
"""Conditional probability from which a concept has an edge to another. CVSE expresses it as a threshold of
0.3 on 5^(p - 0.02) - 5^-0.02."""
NEIGHBOUR_WEIGHT = 0.25
"""Total weight of the neighbours of a concept before degree normalisation; its own weight is 1."""


@dataclass(frozen=True)
class ConceptGraph:
    """K concepts and their adjacency."""

    names: Sequence[str]
    """One word per concept."""
    adjacency: np.ndarray
    """(K, K) float32, D^-1/2 A D^-1/2, the matrix of a graph convolution; symmetric if A is."""

    def named_in(self, texts: Sequence[str]) -> np.ndarray:
        """Return bool (len(texts), K): which concepts each text names, in any form of the word."""
        return words_named(self._columns, texts)

    def column(self, word: str) -> int | None:
        """Return the index of the concept that a lower-case word names, or None."""
        return self._columns.get(stem(word))

    @cached_property
    def _columns(self) -> Mapping[str, int]:
        return {stem(name): column for column, name in enumerate(self.names)}


def concept_graph(pairs: PairSet, triples: Path | None = None) -> ConceptGraph:
    """Build the concept graph of a source from co-occurrence in captions and from known relations.

    Args:
        pairs: the concepts are the most frequent content words of its captions. Its own triples (the ontology
            of Picturebook) add edges.
        triples: file with further triples (see `read_triples`). Triples with terms that are no concepts are
            ignored.

    Raises:
        SourceError: the captions have no content words, or the file is invalid.
    """
    names = content_words(pairs.captions)
    if not names:
        raise SourceError(f"{pairs.source}: no caption has a content word, so there are no concepts.")
    concepts = ConceptGraph(names, np.eye(len(names), dtype=np.float32))
    texts, _ = pairs.flat_captions()
    together = np.zeros(concepts.adjacency.shape)
    for start in range(0, len(texts), 1 << 15):
        named = concepts.named_in(texts[start : start + (1 << 15)]).astype(np.float32)
        together += named.T @ named  # counts, exact in float32 up to 2^24
    edges = together / np.diag(together)[:, None] >= MIN_COOCCURRENCE
    for known in (pairs.triples, read_triples(triples) if triples else ()):
        for one, other in _related(concepts, known):
            edges[one, other] = edges[other, one] = True
    return ConceptGraph(names, normalised(edges))


def _related(concepts: ConceptGraph, triples: Iterable[Triple]) -> Iterator[tuple[int, int]]:
    for head, _, tail in triples:
        one, other = (concepts.column(term.lower()) for term in (head, tail))
        if one is not None and other is not None:
            yield one, other


def normalised(edges: np.ndarray) -> np.ndarray:
    """Normalise edges (K, K) bool, from i to j, to the matrix of a graph convolution, (K, K) float32.

    The neighbours of a concept share the weight `NEIGHBOUR_WEIGHT`, and its own weight is 1 (Chen et al.
    2019, Multi-Label Image Recognition with Graph Convolutional Networks, eqs. 7-8, as used by CVSE). Rows
    and columns are divided by the square roots of the row sums (Kipf & Welling 2017).
    """
    others = edges & ~np.eye(len(edges), dtype=np.bool_)
    weights = NEIGHBOUR_WEIGHT * others / np.maximum(others.sum(0, keepdims=True), 1) + np.eye(len(edges))
    root = np.sqrt(weights.sum(1))
    return (weights.T / root / root[:, None]).astype(np.float32)
