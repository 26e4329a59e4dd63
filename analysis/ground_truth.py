"""Exact relevance of a gallery, where it is known."""

from collections.abc import Sequence

from itr_core.errors import SourceError
from itr_core.gallery import Gallery
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.semantics import Meaning
from itr_core.picturebook.source import scenes_of_ids


def truth_of(gallery: Gallery, images: Sequence[int] | None = None) -> SceneRelevance | None:
    """Return which caption is true of which image, in the order of the gallery.

    Known for galleries of Picturebook whose captions are those that this version of Picturebook writes.
    Takes about a millisecond per image.

    Args:
        gallery: The gallery.
        images: Rows of the images to take, with their captions, in this order; all by default.

    Returns:
        The relevance, or None if it is not known.
    """
    if gallery.manifest.source.partition(":")[0] != "picturebook":
        return None
    items = gallery.items if images is None else gallery.items.iloc[list(images)]
    try:
        scenes = scenes_of_ids(list(items["image_id"]))
    except SourceError:
        return None
    meanings: list[Meaning] = []
    for scene, texts in zip(scenes, items["captions"], strict=True):
        captions = captions_of(scene)
        if [caption.text for caption in captions] != texts:
            return None  # written by another version: the meanings would not be those of the texts
        meanings.extend(caption.meaning for caption in captions)
    return SceneRelevance(scenes, meanings)
