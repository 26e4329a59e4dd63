"""What a picture shows instead of what it should show, for "this, but at night"."""

import numpy as np

from itr_core.picturebook.alternatives import alternatives
from itr_core.retrieval.searcher import Searcher


def likely_alternative(searcher: Searcher, picture: np.ndarray, but: str) -> str:
    """Return what the model sees in a picture instead of `but`, to subtract it.

    The candidates are the other values of the attribute that `but` names, so they are only known in
    Picturebook. The one with the highest cosine to the picture is returned.

    Args:
        searcher: of a gallery.
        picture: embedding of the picture, (d,) of unit norm.
        but: what the picture should show, such as "at night".

    Returns:
        Such as "during the day"; "" if nothing is known.
    """
    if searcher.gallery.manifest.source.partition(":")[0] != "picturebook":
        return ""
    candidates = alternatives(but)
    if not candidates:
        return ""
    return candidates[int((searcher.encode_texts(candidates) @ picture).argmax())]
