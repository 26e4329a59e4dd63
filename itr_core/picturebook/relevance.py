"""Exact relevance: which captions are true of which scenes, for a whole gallery at once."""

from collections.abc import Callable, Hashable, Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.sampling import MAX_THINGS
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import ATTRIBUTES, SETTING, Meaning, SceneFacts, Variable, statable_facts

Rows = slice | NDArray[np.integer]
_EVERY = slice(None)


class SceneRelevance:
    """Exact relevance of n scenes and m meanings; equal to `entails` and `grade` on every pair.

    Things are bits: for each word, an (n,) array of masks marks the things of each scene that it describes,
    so that one `and` evaluates a description for all scenes. Only scenes in which all variables have
    matching things are evaluated one by one, and only if the variables compete for things or are related.
    """

    def __init__(self, scenes: Sequence[Scene], meanings: Sequence[Meaning]) -> None:
        self.scenes = list(scenes)
        self.meanings = list(meanings)

    @cached_property
    def _fact_counts(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        of_scenes = np.array([statable_facts(s) for s in self.scenes], dtype=np.float32)
        return of_scenes, np.array([m.fact_count() for m in self.meanings], dtype=np.float32)

    @cached_property
    def _masks(self) -> dict[tuple[str, Hashable], NDArray[np.uint8]]:
        """(field, word) -> (n,) masks of the things that it describes; 0 or 1 for place, time and weather."""
        assert MAX_THINGS <= 8
        masks: dict[tuple[str, Hashable], NDArray[np.uint8]] = {}

        def add(row: int, bit: int, field: str, word: Hashable) -> None:
            if (field, word) not in masks:
                masks[field, word] = np.zeros(len(self.scenes), np.uint8)
            masks[field, word][row] |= bit

        for row, scene in enumerate(self.scenes):
            for field in SETTING:
                add(row, 1, field, getattr(scene, field))
            for i, thing in enumerate(scene.things):
                for field in ATTRIBUTES:
                    add(row, 1 << i, field, getattr(thing, field))
                for term in KINDS[thing.kind].is_a:
                    add(row, 1 << i, "term", term)
        return masks

    @cached_property
    def facts(self) -> list[SceneFacts]:
        """The facts of each scene."""
        return [SceneFacts(scene) for scene in self.scenes]

    def matrix(self, images: Rows = _EVERY, captions: np.ndarray | None = None) -> NDArray[np.bool_]:
        """Return bool (selected scenes, selected meanings): whether the meaning is true of the scene."""
        rows = np.arange(len(self.scenes))[images]
        meanings = self.meanings if captions is None else [self.meanings[number] for number in captions]
        described = cache(lambda variable: self._described(variable, rows))
        result = np.empty((len(meanings), len(rows)), bool)
        for number, meaning in enumerate(meanings):
            result[number] = self._true(meaning, rows, described)
        return result.T

    def true_of(self, meaning: Meaning) -> NDArray[np.bool_]:
        """Return bool (n,): whether a meaning, of `meanings` or not, is true of each scene."""
        rows = np.arange(len(self.scenes))
        return self._true(meaning, rows, lambda variable: self._described(variable, rows))

    def _true(
        self,
        meaning: Meaning,
        rows: NDArray[np.integer],
        described: Callable[[Variable], NDArray[np.uint8]],
    ) -> NDArray[np.bool_]:
        true = np.ones(len(rows), bool)
        for field in SETTING:
            if (word := getattr(meaning, field)) is not None:
                true &= self._mask(field, word, rows).view(bool)
        masks = [described(variable) for variable in meaning.things]
        shared, taken = np.zeros(len(rows), np.uint8), np.zeros(len(rows), np.uint8)
        for variable, mask in zip(meaning.things, masks, strict=True):
            number = np.bitwise_count(mask)
            true &= (number >= variable.least) & (
                number <= (MAX_THINGS if variable.most is None else variable.most)
            )
            shared |= taken & mask
            taken |= mask
        # Only a thing that fits two descriptions, or a relation, makes a binding necessary.
        bound = true if meaning.relations else true & shared.astype(bool)
        for candidate in np.flatnonzero(bound):
            true[candidate] = self.facts[rows[candidate]].entail(meaning)
        return true

    def _described(self, variable: Variable, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the things of each scene that match the description of the variable, as masks."""
        mask = self._mask("term", variable.term, rows)
        for field in ATTRIBUTES:
            if (word := getattr(variable, field)) is not None:
                mask = mask & self._mask(field, word, rows)
        return mask

    def _mask(self, field: str, word: Hashable, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        mask = self._masks.get((field, word))
        return np.zeros(len(rows), np.uint8) if mask is None else mask[rows]

    def grade(self, images: Rows = _EVERY) -> NDArray[np.float32]:
        """Return float32 (selected scenes, m) in [0, 1]: fraction of facts stated; 0 if not true."""
        of_scenes, of_meanings = self._fact_counts
        return np.where(self.matrix(images), np.minimum(1, of_meanings / of_scenes[images, None]), 0).astype(
            np.float32
        )
