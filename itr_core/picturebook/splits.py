"""Splits: a scene is a function of split and index, and no content occurs in two splits."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import product

import numpy as np

from itr_core.errors import SourceError, did_you_mean
from itr_core.picturebook.ontology import KINDS, PLACES
from itr_core.picturebook.sampling import Content, Group, sample_scene, sorted_groups, stances
from itr_core.picturebook.scene import Scene


@dataclass(frozen=True, slots=True)
class Split:
    """`number` is its seed, `size` its default length, `buckets` determines which contents it may have."""

    number: int
    size: int
    buckets: range
    unseen: bool = False


SPLITS = {
    "train": Split(0, 20_000, range(12)),
    "val": Split(1, 1_000, range(12, 13)),
    "test": Split(2, 1_000, range(13, 14)),
    "gallery": Split(3, 2_000, range(14, 16)),
    "test_unseen": Split(4, 1_000, range(16), unseen=True),
}


def _digest(value: object) -> int:
    return int.from_bytes(blake2b(repr(value).encode(), digest_size=8).digest(), "big")


UNSEEN = frozenset(
    (name, colour)
    for name, kind in KINDS.items()
    for colour in list(kind.colours)[1:]
    if len(kind.colours) > 2 and _digest((name, colour)) % 8 == 0
)
"""(kind, colour) combinations that occur only in `test_unseen`, at least one in each of its scenes."""


def split_named(name: str) -> Split:
    """Return a split by name.

    Raises:
        SourceError: there is no such split.
    """
    if name not in SPLITS:
        raise SourceError(f"Picturebook has no split {name!r}.{did_you_mean(name, SPLITS)}")
    return SPLITS[name]


@lru_cache(maxsize=4_096)  # captions and pictures of a gallery are made from the same scenes
def scene_of(split: str, index: int) -> Scene:
    """Return scene `index` (from 0, unlimited) of a split.

    The content of a scene, without positions, is hashed to one of 16 buckets. Each split draws scenes until
    the content is in one of its buckets, so that splits are disjoint in content, not only in seeds.
    """
    own = split_named(split)
    rng = np.random.default_rng([own.number, index])
    return sample_scene(rng, lambda content: _accepts(own, content))


def may_have(split: str, scene: Scene) -> bool:
    """Whether the content of a scene can be in a split, and therefore in no other one."""
    own, numbers = split_named(split), Counter(thing.look for thing in scene.things)
    groups = (
        [
            Group(look, number, band)
            for state, band in stances(KINDS[look.kind], PLACES[scene.place])
            if state == look.state
        ]
        for look, number in numbers.items()
    )
    contents = (
        Content(scene.place, scene.time, scene.weather, sorted_groups(each)) for each in product(*groups)
    )
    return all(_accepts(own, content) for content in contents)


def _accepts(split: Split, content: Content) -> bool:
    novel = any((g.look.kind, g.look.colour) in UNSEEN for g in content.groups)
    return novel == split.unseen and _digest(content) % 16 in split.buckets
