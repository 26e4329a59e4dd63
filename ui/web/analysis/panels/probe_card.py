"""A picture with one of its captions, and what becomes of their score when words change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis
from analysis.probes.counterfactuals import probe_table
from analysis.probes.word_edits import word_diff
from analysis.probes.word_importance import best_patches, word_importance, word_patch_map
from itr_core.errors import ImageError, ModelError, QueryError
from itr_core.pairs.decoding import decode_image
from itr_core.retrieval.searcher import Searcher
from ui.web import html

KINDS = {
    "": "true caption",
    "drop detail": "drop a detail",
    "negate": "deny what is there",
    "without": "“without” what is there",
}
"""What is done, of kinds of probes whose names do not say it."""
FIT = {"shortest": "cover", "squash": "fill", "longest": "contain"}
"""How open_clip makes a picture square, and what CSS calls that."""


class ProbeCard:
    """An image of a gallery, by its row, and its caption at `place`. QueryError where there is none."""

    def __init__(self, analysis: GalleryAnalysis, searcher: Searcher, row: int, place: int) -> None:
        self.analysis = analysis
        self.searcher = searcher
        self.row = row
        self.place = place
        self.item = analysis.gallery.items.iloc[row]
        self.thumbnail = analysis.gallery.path / str(self.item["thumbnail"])
        if place >= len(self.item["captions"]):
            raise QueryError("That picture has no such caption, so there are no words to change.")
        self.caption: str = self.item["captions"][place]

    def picture(self, gallery: str) -> str:
        """The picture and its captions, with the places of each word if the model knows any."""
        places: Sequence[Mapping[Any, Any]] = []
        note = ""
        try:
            places = self._places().to_dict("records")
        except (ModelError, ImageError) as error:
            note = f"Where each word is seen cannot be shown: {error}"
        return html.render(
            "probed.html",
            thumbnail=self.thumbnail,
            fit=FIT[self.searcher.encoder.resize_mode],
            link=html.share_link(item=self.item["image_id"], g=gallery),
            item=self.item["image_id"],
            caption=self.caption,
            captions=self.item["captions"],
            place=self.place,
            places=places,
            note=note,
        )

    def importance(self) -> pd.DataFrame:
        """See `analysis.probes.word_importance.word_importance`."""
        return word_importance(self.searcher, self.caption, self.analysis.images[self.row])

    def table(self) -> str:
        """The probes, with what they do to score and rank."""
        probes = self.analysis.image_probes(self.row, self.caption)
        table = probe_table(self.searcher, self.analysis.images, probes, self.row)
        rows = [
            row | {"name": KINDS.get(row["kind"], row["kind"]), "runs": word_diff(row["before"], row["after"])}
            for row in table.to_dict("records")
        ]
        return html.render("probes.html", rows=rows, exact=self.analysis.truth is not None)

    def _places(self) -> pd.DataFrame:
        picture = decode_image(self.thumbnail)
        with self.searcher.encoder.lock:
            return best_patches(*word_patch_map(self.searcher.encoder, picture, self.caption))


def find(analysis: GalleryAnalysis, searcher: Searcher, query: str) -> tuple[int, int]:
    """Row and caption of the picture that a query means: its id, or words for it; "": the first."""
    items = analysis.gallery.items
    captions: list[list[str]] = items["captions"].tolist()
    named = np.flatnonzero(items["image_id"] == query.strip())
    if len(named):
        return int(named[0]), _longest(captions[int(named[0])])
    if not query.strip():
        return any_captioned(analysis, 0.0)
    hit = searcher.search_text(query, 1)[0]
    row = analysis.gallery.row(hit.item_id)
    return row, captions[row].index(hit.caption) if hit.caption else 0


def any_captioned(analysis: GalleryAnalysis, share: float) -> tuple[int, int]:
    """Row and caption of the picture so far, in [0, 1), into those that have captions."""
    captions: list[list[str]] = analysis.gallery.items["captions"].tolist()
    rows = [row for row, its in enumerate(captions) if its]
    if not rows:
        raise QueryError("This gallery has no captions, so there are no words to change.")
    row = rows[int(share * len(rows))]
    return row, _longest(captions[row])


def parse(analysis: GalleryAnalysis, said: Any) -> tuple[int, int]:
    """Row and caption that the browser names in {"item", "caption"}; QueryError if there are none such."""
    item, place = (said.get(name) for name in ("item", "caption")) if isinstance(said, dict) else ("", "")
    if not str(place).isascii() or not str(place).isdecimal() or len(str(place)) > 9:
        raise QueryError("That picture has no such caption, so there are no words to change.")
    return analysis.gallery.row(str(item)), int(str(place))


def _longest(captions: list[str]) -> int:
    """The caption with most to change."""
    return max(range(len(captions)), key=lambda place: len(captions[place]), default=0)
