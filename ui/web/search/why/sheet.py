"""Server functions of the side sheet: what it shows of one result, and rankings for changed words.

Each takes one dict from the browser, which can be anything: `address` of the search, `item` of the result,
`minus` of the grid if there are two (see `ui.web.search.composed`), and for a ranking `text`.
"""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from analysis.probes.query_edits import Ranking, rankings, without_each_word
from analysis.probes.word_edits import word_edits
from analysis.probes.word_importance import best_patches, located, word_patch_map
from analysis.probes.wrong_captions import wrong_captions
from analysis.small_map import small_map
from itr_core.errors import ImageError, ModelError, QueryError
from itr_core.retrieval.composed import minus_query
from itr_core.retrieval.query_text import normalised
from itr_core.retrieval.searcher import Searcher
from ui.web import html
from ui.web.analysis.panels.probe_card import FIT
from ui.web.boundary.served import thumbnail_url
from ui.web.errors import show_errors
from ui.web.galleries import Galleries
from ui.web.search.composed import labels_of, readings
from ui.web.search.links import parameters

SHOWN = 8
"""Best pictures that are shown for changed words."""
MOST_WORDS = 16
"""Most words of a query that are shown on patches."""
_HERE = Path(__file__).parent
_JS = (_HERE / "why.js").read_text(encoding="utf-8")
_TEMPLATE = '<dialog class="why" aria-labelledby="why-title"></dialog>'


def why_sheet(galleries: Galleries) -> None:
    """Add the sheet to the page; its buttons are those with `data-why` in the results."""
    sheet = Sheet(galleries)

    @show_errors(lambda message: {"error": message})
    def explain(asked: Any) -> dict[str, Any]:
        return sheet.explain(asked)

    @show_errors(lambda message: {"error": message})
    def rank(asked: Any) -> dict[str, Any]:
        return sheet.rank(asked)

    @show_errors(lambda message: {"error": message})
    def patches(asked: Any) -> dict[str, Any]:
        return sheet.patches(asked)

    gr.HTML(html_template=_TEMPLATE, js_on_load=_JS, elem_id="why", server_functions=[explain, rank, patches])


class Sheet:
    """What the server functions answer, over `galleries`."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries

    def explain(self, asked: Any) -> dict[str, Any]:
        """Return the sheet as HTML, and the rankings without each word of the query."""
        one = _Result(self.galleries, asked)
        found = one.rankings([one.words.text, *without_each_word(one.words.text)]) if one.words else []
        wrong = wrong_captions(one.searcher, one.item)
        best = found[0].rows if found else []
        sheet = html.render(
            "why.html",
            image=one.searcher.gallery.thumbnail(one.item),
            fit=FIT[one.searcher.encoder.resize_mode],
            caption=one.caption,
            words=one.words,
            ranking=found[0] if found else None,
            edits=list(zip(one.words.text.split(), found[1:], strict=False)) if one.words else [],
            swaps=self._swaps(one),
            among=len(one.searcher.gallery if one.among is None else one.among),
            wrong=wrong,
            stage_link=one.stage_link,
            map=small_map(self.galleries.analysis(one.gallery), one.row, best),
            map_link="analysis" + html.share_link(tab="map", open=f"images:{one.row}", g=one.gallery),
        )
        return {"html": sheet, **_as_json(one.searcher, found)}

    def _swaps(self, one: "_Result") -> list[str]:
        """Return the query with one word swapped, for each kind of swap that it allows."""
        if not one.words:
            return []
        objects = self.galleries.analysis(one.gallery).object_words
        edits = word_edits(one.words.text, np.random.default_rng(one.row), objects=objects)
        return [edited for _, _, edited in edits]

    def rank(self, asked: Any) -> dict[str, Any]:
        """Return the ranking for other words."""
        one = _Result(self.galleries, asked)
        text = normalised(asked.get("text")) if one.words else ""
        if not text:
            raise QueryError("All words are left out: put one back.")
        return _as_json(one.searcher, one.rankings([text]))

    def patches(self, asked: Any) -> dict[str, Any]:
        """Return for each word of the query how well it fits each patch of the picture."""
        one = _Result(self.galleries, asked)
        text = " ".join(one.words.text.split()[:MOST_WORDS]) if one.words else ""
        try:
            image = one.searcher.gallery.decoded_thumbnail(one.row)
            words, maps = word_patch_map(one.searcher.encoder, image, text)
        except (ModelError, ImageError) as error:
            raise QueryError(f"The patches that fit each word cannot be shown: {error}") from error
        table = best_patches(words, maps, located(one.searcher.encoder, image, words, maps))
        return {
            "words": [
                {
                    "word": row["word"], "located": bool(row["located"]),
                    "shades": [round(float(shade), 2) for shade in row["shades"]],
                }
                for row in table.to_dict("records")
            ]
        }  # fmt: skip


class _Result:
    """The result that a browser asks about.

    Attributes:
        words: The query in words; None if a picture was searched with.
        among: Rows of the pictures that the search was limited to; None for all.
    """

    def __init__(self, galleries: Galleries, asked: Any) -> None:
        if not isinstance(asked, dict):
            raise QueryError("This request names no result.")
        search = parameters(asked.get("address", ""))
        if asked.get("minus") in ("0", "1"):
            search["minus"] = asked["minus"]
        self.gallery = search.get("g") or galleries.names[0]
        self.searcher: Searcher = galleries.searcher(self.gallery, timeout=0)
        self.item = str(asked.get("item", ""))
        self.row = self.searcher.gallery.row(self.item)
        self.caption = "".join(self.searcher.gallery.items["captions"].tolist()[self.row][-1:])
        words = readings(search)[0] if normalised(search.get("q")) else None
        self.words = words if words and words.text else None
        labels, _ = labels_of(self.searcher, search)
        self.among: np.ndarray | None = self.searcher.having(labels)

    @property
    def stage_link(self) -> str:
        """Address of the page on which the scene of a drawing can be edited; "" for other pictures."""
        if self.searcher.gallery.manifest.source.partition(":")[0] != "picturebook":
            return ""
        query = {"q": self.words.text} if self.words else {}
        return "stage" + html.share_link(item=self.item, g=self.gallery, **query)

    def rankings(self, texts: list[str]) -> list[Ranking]:
        minus = [self.searcher.embed_text(each) for each in self.words.minus] if self.words else []

        def encode(texts: Any) -> np.ndarray:
            words = self.searcher.encode_texts(texts)
            return minus_query(words, minus) if minus else words

        return rankings(
            encode, self.searcher.gallery.image_embeddings, texts, self.row, best=SHOWN, among=self.among
        )


def _as_json(searcher: Searcher, found: list[Ranking]) -> dict[str, Any]:
    items = searcher.gallery.items
    captions: list[list[str]] = items["captions"].tolist()
    rows = {row for each in found for row in each.rows}
    pictures = {
        str(items["image_id"].iat[row]): {
            "thumbnail": thumbnail_url(searcher.gallery.path / str(items["thumbnail"].iat[row])),
            "caption": next(iter(captions[row]), ""),
        }
        for row in rows
    }
    return {
        "pictures": pictures,
        "rankings": [
            {
                "text": each.text, "rank": each.rank, "score": each.score,
                "best": [str(items["image_id"].iat[row]) for row in each.rows],
            }
            for each in found
        ],
    }  # fmt: skip
