"""The exact truth about a gallery, where there is one."""

from itr_core.errors import SourceError
from itr_core.gallery import Gallery
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning
from itr_core.picturebook.source import scene_of_id


def truth_of(gallery: Gallery) -> SceneRelevance | None:
    """Which caption is true of which image, in the gallery's own order; None where nobody knows.

    Known of Picturebook, as long as it still tells of every scene what the gallery has kept: the words and
    the meanings must be of one time. It takes about a millisecond per scene.
    """
    if gallery.manifest.source.partition(":")[0] != "picturebook":
        return None
    scenes: list[Scene] = []
    meanings: list[Meaning] = []
    for image_id, captions in zip(gallery.items["image_id"], gallery.items["captions"], strict=True):
        try:
            scene = scene_of_id(image_id)
        except SourceError:
            return None
        told = captions_of(scene)
        if [caption.text for caption in told] != captions:
            return None
        scenes.append(scene)
        meanings.extend(caption.meaning for caption in told)
    return SceneRelevance(scenes, meanings)
