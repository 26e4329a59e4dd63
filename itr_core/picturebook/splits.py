"""Splits: a scene is a function of split and index, and no content occurs in two splits."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from itr_core.errors import SourceError, did_you_mean
from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.sampling import Content, sample_scene
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

    def accept(content: Content) -> bool:
        novel = any((g.look.kind, g.look.colour) in UNSEEN for g in content.groups)
        return novel == own.unseen and _digest(content) % 16 in own.buckets

    return sample_scene(np.random.default_rng([own.number, index]), accept)
