"""The wrong captions that a model takes for the best ones of an image."""

from dataclasses import dataclass

from itr_core.errors import SourceError
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.source import scene_of_id
from itr_core.retrieval.searcher import Hit, Searcher

CANDIDATES = 60
"""Nearest captions among which wrong ones are looked for."""


@dataclass(frozen=True)
class WrongCaptions:
    """The nearest wrong captions of an image.

    Attributes:
        hits: Captions, nearest first; `rank` counts all captions, right ones, too.
        exact: Whether they are known to be false of the image. Otherwise they are captions of other images,
            which may be true of this one.
    """

    hits: list[Hit]
    exact: bool


def wrong_captions(searcher: Searcher, item_id: str, count: int = 3) -> WrongCaptions:
    """Find the wrong captions with the highest cosines to an image.

    In Picturebook, captions that are true of the scene are left out; elsewhere, the captions of the image.

    Args:
        searcher: Of a gallery.
        item_id: The image.
        count: Largest number of captions.

    Raises:
        QueryError: The gallery has no such image.
    """
    gallery = searcher.gallery
    own = set(gallery.items["captions"].tolist()[gallery.row(item_id)])
    if searcher.found_by_image != "captions":
        return WrongCaptions([], exact=False)
    found = searcher.search_item(item_id, CANDIDATES, "captions")
    others = [hit for hit in found if hit.caption not in own]
    facts = _facts(searcher, item_id)
    if facts is None:
        return WrongCaptions(others[:count], exact=False)
    wrong = []
    for hit in others:
        if _is_false(hit, facts):
            wrong.append(hit)
        if len(wrong) == count:
            break
    return WrongCaptions(wrong, exact=True)


def _facts(searcher: Searcher, item_id: str) -> SceneFacts | None:
    if searcher.gallery.manifest.source.partition(":")[0] != "picturebook":
        return None
    try:
        return SceneFacts(scene_of_id(item_id))
    except SourceError:
        return None


def _is_false(hit: Hit, facts: SceneFacts) -> bool:
    """Whether a caption is false. What it states is known from the scene that it was written for."""
    stated = {each.text: each.meaning for each in captions_of(scene_of_id(hit.item_id))}
    return hit.caption in stated and not facts.entail(stated[hit.caption])
