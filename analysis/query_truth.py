"""Which images of a gallery a query is true of, where that is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from itr_core.errors import SourceError
from itr_core.gallery import Gallery
from itr_core.picturebook.broken import broken_fact
from itr_core.picturebook.parsing import parse_query
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning, Variable
from itr_core.picturebook.source import scenes_of_ids

Kind = Literal["own", "right", "wrong", "unknown"]


@dataclass(frozen=True)
class QueryTruth:
    """The truth of one query.

    Attributes:
        true: bool (n,), whether the query is true of each image of the gallery.
        broken: Returns what is false of an image in plain words; "" if nothing is, or if it is not known.
        origin: A sentence on how it is known.
        known: bool (n,), of which images it is known; None if of all. `true` is False for the others.
    """

    true: NDArray[np.bool_]
    broken: Callable[[int], str]
    origin: str
    known: NDArray[np.bool_] | None = None

    def is_right(self, row: int) -> bool | None:
        """Return whether the query is true of an image; None if this is not known."""
        return bool(self.true[row]) if self.known is None or self.known[row] else None

    def of(self, row: int) -> tuple[bool, str] | None:
        """Return whether the query is true of an image, and what is false; None if this is not known."""
        right = self.is_right(row)
        return None if right is None else (right, self.broken(row))

    def right(self, rows: Sequence[int]) -> int:
        """Return the number of images among `rows` that the query is true of."""
        return int(self.true[list(rows)].sum())

    @property
    def total(self) -> int:
        """Number of images of the gallery that the query is true of."""
        return int(self.true.sum())


class GalleryTruth:
    """The truth of queries about a gallery of Picturebook; None for texts whose meaning is not known.

    Attributes:
        closed: Whether it knows all words that queries can have.
        unknown: What to say of a query that it does not know: a sentence, and what it does know.
    """

    closed = True
    unknown = (
        "Truth unknown for this wording.",
        "It is known of things with their number, colour, pattern, size and state, of what is absent, of "
        "where things are, and of place, time and weather.",
    )

    def __init__(self, image_ids: Sequence[str]) -> None:
        self._scenes = SceneRelevance(scenes_of_ids(image_ids), ())
        self._scenes.true_of(Meaning(place="beach"))  # the masks of all words
        self._facts = self._scenes.facts

    def of_query(self, text: str) -> QueryTruth | None:
        """Return the truth of any text."""
        meaning = parse_query(text)
        return None if meaning is None else self._of_meaning(meaning)

    def of_scene(self, scene: Scene) -> QueryTruth | None:
        """Return the truth of a picture as a query; None for a scene without things.

        It is true of the images that show things of all its kinds, however many and wherever they are.
        """
        kinds = dict.fromkeys(thing.kind for thing in scene.things)
        return self._of_meaning(Meaning(tuple(map(Variable, kinds)))) if kinds else None

    def of_item(self, row: int) -> QueryTruth | None:
        """Return the truth of an image of the gallery as a query, for which it is no result itself."""
        truth = self.of_scene(self._scenes.scenes[row])
        if truth is not None:
            truth.true[row] = False
        return truth

    def _of_meaning(self, meaning: Meaning) -> QueryTruth:
        true = self._scenes.true_of(meaning)
        return QueryTruth(
            true, lambda row: broken_fact(self._facts[row], meaning), "A program drew them, so this is exact."
        )

    def of_caption(self, text: str, row: int) -> tuple[bool, str] | None:
        """Return whether a text is true of one image, and what is false."""
        meaning = parse_query(text)
        if meaning is None:
            return None
        broken = broken_fact(self._facts[row], meaning)
        return not broken, broken


def gallery_truth(gallery: Gallery) -> GalleryTruth | None:
    """Return the truth of queries about a gallery, or None if it is not known.

    It is shared by all galleries of the same images. Takes about a millisecond per image the first time.
    """
    if gallery.manifest.source.partition(":")[0] != "picturebook":
        return None
    try:
        return _of_scenes(tuple(gallery.items["image_id"]))
    except SourceError:
        return None


_of_scenes = lru_cache(maxsize=4)(GalleryTruth)


class CaptionOwners:
    """Which images a text is a caption of, whatever its case and final full stop."""

    def __init__(self, gallery: Gallery) -> None:
        self._rows: dict[str, list[int]] = {}
        for row, captions in enumerate(gallery.items["captions"]):
            for text in captions:
                self._rows.setdefault(plain(text), []).append(row)

    def rows(self, text: str) -> list[int]:
        """Return the rows of the images that have the text as a caption."""
        return self._rows.get(plain(text), [])


@dataclass(frozen=True)
class Judged:
    """The truth of the first results of a search for images.

    Attributes:
        marks: For each result, whether it is an image that has the query as a caption ("own"), another one
            that the query is true of ("right"), "wrong", or "unknown", with what is false.
        right: Number of results that are own or right; None if the truth of the query is not known.
        total: Number of such images in the gallery; None if the truth is not known.
        own_rank: Rank from 1 of the best own image, the only one that R@1 counts as right; None without one.
        origin: A sentence on how the truth is known; "" if it is not.
        known: Number of images of the gallery of which the truth is known; None if of all, or of none.
    """

    marks: tuple[tuple[Kind, str], ...]
    right: int | None
    total: int | None
    own_rank: int | None
    origin: str = ""
    known: int | None = None


def judge(
    truth: QueryTruth | None, own: Sequence[int], rows: Sequence[int], similarities: NDArray[np.floating]
) -> Judged:
    """Judge the results of a search for images.

    Args:
        truth: The truth of the query, if it is known.
        own: Rows of the images that have the query as a caption.
        rows: Rows of the results, best first.
        similarities: (n,), of the query and all images.
    """
    marks: list[tuple[Kind, str]] = []
    for row in rows:
        if row in own:
            marks.append(("own", ""))
        elif truth is None or (found := truth.of(row)) is None:
            marks.append(("unknown", ""))
        else:
            marks.append(("right", "") if found[0] else ("wrong", found[1]))
    best = 1 + int((similarities > similarities[list(own)].max()).sum()) if own else None
    if truth is None:
        return Judged(tuple(marks), None, None, best)
    known = None if truth.known is None else int(truth.known.sum())
    return Judged(tuple(marks), truth.right(rows), truth.total, best, truth.origin, known)


def plain(text: str) -> str:
    """Return a text without what does not count in a comparison: case, further spaces, final full stops."""
    return " ".join(text.lower().split()).rstrip(".")
