"""Which captions are true of which scenes, for whole galleries at once."""

from collections.abc import Hashable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.sampling import MOST_THINGS
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning, SceneFacts, Variable, tellable

Rows = slice | NDArray[np.integer]
_EVERY = slice(None)


class SceneRelevance:
    """Exact relevance of n scenes and m meanings; equal to `entails` and `grade` on every pair.

    Things are bits: for every word that can describe one, an (n,) array of masks tells which things of a
    scene it is true of, so that one `and` decides a description for all scenes. Only scenes in which every
    variable finds its things are looked at one by one, to bind several variables at once.
    """

    def __init__(self, scenes: Sequence[Scene], meanings: Sequence[Meaning]) -> None:
        self.scenes = list(scenes)
        self.meanings = list(meanings)

    @cached_property
    def _facts(self) -> list[SceneFacts]:
        return [SceneFacts(scene) for scene in self.scenes]

    @cached_property
    def _told(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        tellables = np.array([tellable(s) for s in self.scenes], dtype=np.float32)
        return tellables, np.array([m.told() for m in self.meanings], dtype=np.float32)

    @cached_property
    def _masks(self) -> dict[tuple[str, Hashable], NDArray[np.uint8]]:
        """(field, word) -> (n,) masks of the things it is true of; 0 or 1 for place, time and weather."""
        assert MOST_THINGS <= 8
        masks: dict[tuple[str, Hashable], NDArray[np.uint8]] = {}

        def add(row: int, bit: int, field: str, word: Hashable) -> None:
            if (field, word) not in masks:
                masks[field, word] = np.zeros(len(self.scenes), np.uint8)
            masks[field, word][row] |= bit

        for row, scene in enumerate(self.scenes):
            for field in ("place", "time", "weather"):
                add(row, 1, field, getattr(scene, field))
            for i, thing in enumerate(scene.things):
                for field in ("colour", "pattern", "size", "state"):
                    add(row, 1 << i, field, getattr(thing, field))
                for term in KINDS[thing.kind].is_a:
                    add(row, 1 << i, "term", term)
        return masks

    def matrix(self, images: Rows = _EVERY) -> NDArray[np.bool_]:
        """(selected scenes, m) booleans: the meaning is true of the scene."""
        rows = np.arange(len(self.scenes))[images]
        none = np.zeros(len(self.scenes), np.uint8)
        found: dict[Variable, tuple[NDArray[np.uint8], NDArray[np.bool_]]] = {}

        def look_for(variable: Variable) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
            mask = self._masks.get(("term", variable.term), none)[rows]
            for field in ("colour", "pattern", "size", "state"):
                if (word := getattr(variable, field)) is not None:
                    mask = mask & self._masks.get((field, word), none)[rows]
            number = np.bitwise_count(mask)
            return mask, (number >= variable.least) & (number <= (variable.most or MOST_THINGS))

        result = np.ones((len(self.meanings), len(rows)), bool)
        for meaning, true in zip(self.meanings, result, strict=True):
            for field in ("place", "time", "weather"):
                if (word := getattr(meaning, field)) is not None:
                    true &= self._masks.get((field, word), none)[rows].view(bool)
            for variable in meaning.things:
                if variable not in found:
                    found[variable] = look_for(variable)
                true &= found[variable][1]
            if len(meaning.things) > 1:
                for candidate in np.flatnonzero(true):
                    true[candidate] = self._facts[rows[candidate]].entail(meaning)
        return result.T

    def grade(self, images: Rows = _EVERY) -> NDArray[np.float32]:
        """(selected scenes, m) float32 in [0, 1]: the share of the scene's facts stated; 0 where not true."""
        tellables, told = self._told
        return np.where(self.matrix(images), np.minimum(1, told / tellables[images, None]), 0).astype(
            np.float32
        )
