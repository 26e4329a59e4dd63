"""One caption of an image under probes: changed captions, word importance, and words on image patches."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis
from analysis.probes.counterfactuals import probe_table
from analysis.probes.word_edits import word_diff
from analysis.probes.word_importance import best_patches, located, word_importance, word_patch_map
from itr_core.errors import ImageError, ModelError, QueryError
from itr_core.retrieval.searcher import Searcher
from ui.web import html

KINDS = {
    "": "true caption",
    "drop detail": "remove a detail",
    "negate": "deny a true object",
    "without": "“without” a true object",
}
"""Labels of those kinds of probes whose names are not clear by themselves."""
FIT = {"shortest": "cover", "squash": "fill", "longest": "contain"}
"""open_clip's resize modes as values of CSS's object-fit."""
NO_CAPTION = "That picture has no such caption."


class ProbeCard:
    """The probes of one caption of an image.

    Args:
        analysis: Analysis of the gallery.
        searcher: Searcher of the gallery.
        row: Row of the image.
        position: Which of the image's captions, from 0.

    Raises:
        QueryError: There is no such caption.
    """

    def __init__(self, analysis: GalleryAnalysis, searcher: Searcher, row: int, position: int) -> None:
        self.analysis = analysis
        self.searcher = searcher
        self.row = row
        self.position = position
        self.item = analysis.gallery.items.iloc[row]
        self.thumbnail = analysis.gallery.path / str(self.item["thumbnail"])
        if position >= len(self.item["captions"]):
            raise QueryError(NO_CAPTION)
        self.caption: str = self.item["captions"][position]

    def card(self, gallery: str) -> str:
        """Return the image and its captions, with a patch map for each word if the model has tokens."""
        words: Sequence[Mapping[Any, Any]] = []
        note = ""
        try:
            words = self._best_patches().to_dict("records")
        except (ModelError, ImageError) as error:
            note = f"The patches that fit each word cannot be shown: {error}"
        return html.render(
            "probe_card.html",
            thumbnail=self.thumbnail,
            fit=FIT[self.searcher.encoder.resize_mode],
            link=html.share_link(item=self.item["image_id"], g=gallery),
            item=self.item["image_id"],
            caption=self.caption,
            captions=self.item["captions"],
            position=self.position,
            words=words,
            note=note,
        )

    def importance(self) -> pd.DataFrame:
        """Return `analysis.probes.word_importance.word_importance` of the caption."""
        return word_importance(self.searcher, self.caption, self.analysis.images[self.row])

    def table(self) -> str:
        """Return the changed captions with their scores and the ranks of the image."""
        probes = self.analysis.image_probes(self.row, self.caption)
        table = probe_table(self.searcher, self.analysis.images, probes, self.row)
        rows = [
            row
            | {"name": KINDS.get(row["kind"], row["kind"]), "runs": word_diff(row["before"], row["after"])}
            for row in table.to_dict("records")
        ]
        return html.render("probes.html", rows=rows, exact=self.analysis.truth is not None)

    def _best_patches(self) -> pd.DataFrame:
        image = self.analysis.gallery.decoded_thumbnail(self.row)
        words, maps = word_patch_map(self.searcher.encoder, image, self.caption)
        return best_patches(words, maps, located(self.searcher.encoder, image, words, maps))


def find(analysis: GalleryAnalysis, searcher: Searcher, query: str) -> tuple[int, int]:
    """Return row and caption position of the image for a query: an image id, words, or "" for the first."""
    items = analysis.gallery.items
    captions: list[list[str]] = items["captions"].tolist()
    rows = np.flatnonzero(items["image_id"] == query.strip())
    if not query.strip() or not analysis.captions:
        return captioned_image(analysis, 0.0)
    hit = None if len(rows) else searcher.search_text(query, 1)[0]
    row = analysis.gallery.row(hit.item_id) if hit else int(rows[0])
    if not captions[row]:
        raise QueryError(
            f"The picture {items['image_id'].iat[row]} has no caption, so there is nothing to probe."
        )
    return row, captions[row].index(hit.caption) if hit else _longest(captions[row])


def captioned_image(analysis: GalleryAnalysis, fraction: float) -> tuple[int, int]:
    """Return row and caption position of the image at `fraction`, in [0, 1), of those with captions."""
    captions: list[list[str]] = analysis.gallery.items["captions"].tolist()
    rows = [row for row, texts in enumerate(captions) if texts]
    if not rows:
        raise QueryError("This gallery has no captions, and probes change captions.")
    row = rows[int(fraction * len(rows))]
    return row, _longest(captions[row])


def parse(analysis: GalleryAnalysis, item: Any, position: Any) -> tuple[int, int]:
    """Return row and caption position that the browser sent; QueryError if there is no such caption."""
    if not str(position).isascii() or not str(position).isdecimal() or len(str(position)) > 9:
        raise QueryError(NO_CAPTION)
    return analysis.gallery.row(str(item)), int(str(position))


def _longest(captions: list[str]) -> int:
    """Return the position of the longest caption, which has the most words to change."""
    return max(range(len(captions)), key=lambda position: len(captions[position]), default=0)
