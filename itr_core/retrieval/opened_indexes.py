"""The indexes that searches of one gallery use, renewed while they are in use."""

import numpy as np

from itr_core.gallery import Gallery
from itr_core.retrieval.filters import Of
from itr_core.retrieval.index import Index
from itr_core.retrieval.index_records import usable_records
from itr_core.retrieval.saved_index import open_index


class OpenedIndexes:
    """The indexes of a gallery; each is opened when it is first used. Several threads may use them.

    Args:
        gallery: the gallery.
        captions: (m,) rows of the captions that are searched.
        exact: use no index that `save_indexes` made.
    """

    def __init__(self, gallery: Gallery, captions: np.ndarray, *, exact: bool) -> None:
        self._gallery = gallery
        self._captions = captions
        self._exact = exact
        self._records = usable_records(gallery)
        self._opened: dict[Of, Index] = {}

    def index(self, of: Of) -> Index:
        """Return the index of the images or captions."""
        opened = self._opened
        if of not in opened:
            opened[of] = self._open(of)
        return opened[of]

    def outdated(self) -> bool:
        """Return whether `save_indexes` has made or deleted an index since these were opened."""
        return not self._exact and usable_records(self._gallery) != self._records

    def renew(self) -> None:
        """Open the indexes again; until all are open, searches use those before."""
        records = usable_records(self._gallery)
        self._opened = {of: self._open(of) for of in list(self._opened)}
        self._records = records

    def _open(self, of: Of) -> Index:
        rows = None if of == "images" else self._captions
        return open_index(self._gallery, of, rows, exact=self._exact)
