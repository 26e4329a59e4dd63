"""Searches with minus terms, with a change of a picture, and among labelled pictures."""

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from itr_core.pairs import PairSet
from itr_core.retrieval.composed import changed_picture, minus_query
from itr_core.retrieval.instead_of import likely_alternative
from itr_core.retrieval.searcher import Hit, Searcher

COUNT = 24


def coloured(seed: int) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((64, 64), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Every second picture has the label even, every third one three, and some both."""
    labels = [["even"] * (n % 2 == 0) + ["three"] * (n % 3 == 0) for n in range(COUNT)]
    columns = {
        "image": list(range(COUNT)), "captions": [[f"stripes {n}"] for n in range(COUNT)],
        "image_id": [f"id {n}" for n in range(COUNT)], "labels": labels,
    }  # fmt: skip
    pairs = PairSet(Dataset.from_dict(columns), source="stripes", decode=coloured)
    encoder = load_encoder("picturebook-vit/none")
    return Searcher(Gallery.build(pairs, encoder, tmp_path_factory.mktemp("refined") / "gallery"), encoder)


def order(searcher: Searcher, query: np.ndarray) -> list[str]:
    scores = searcher.gallery.image_embeddings @ query
    return [f"id {row}" for row in np.argsort(-scores, kind="stable")]


def ids(hits: list[Hit]) -> list[str]:
    return [hit.item_id for hit in hits]


def test_labels_keep_the_order_of_the_pictures_that_have_all_of_them(searcher: Searcher) -> None:
    everything = ids(searcher.search_text("a red stripe", 100))
    for labels, step in ((["even"], 2), (["three"], 3), (["even", "three"], 6)):
        hits = searcher.search_text("a red stripe", 100, labels=labels)
        assert ids(hits) == [item for item in everything if int(item[3:]) % step == 0]
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    item = searcher.search_item("id 6", 100, "images", labels=["three"])
    assert len(item) == COUNT / 3 - 1
    assert "id 6" not in ids(item)
    assert list(searcher.labels) == ["even", "three"]


def test_an_unknown_label_and_captions_with_a_label_are_refused(searcher: Searcher) -> None:
    with pytest.raises(QueryError, match=r"label 'evn'\. Did you mean 'even'"):
        searcher.search_text("a", labels=["evn"])
    with pytest.raises(QueryError, match="Only images can be filtered"):
        searcher.search_item("id 1", labels=["even"])


def test_minus_terms_search_for_the_difference(searcher: Searcher) -> None:
    words, minus = searcher.embed_text("red stripes"), searcher.embed_text("blue")
    found = searcher.search_text("red stripes", 100, minus=["blue"])
    assert ids(found) == order(searcher, minus_query(words, [minus]))
    assert ids(searcher.search_text("", 100, minus=["blue"])) == order(searcher, -minus)
    with pytest.raises(QueryError, match="type a few words"):
        searcher.search_text("red", minus=[" "])
    with pytest.raises(QueryError, match="cannot be combined"):
        searcher.search_text("red", minus=["blue"], rerank=True)


def test_a_picture_is_searched_for_with_a_change(searcher: Searcher) -> None:
    picture = searcher.gallery.image_embeddings[4]
    plus, minus = searcher.embed_text("at night"), searcher.embed_text("by day")
    hits = searcher.search_item("id 4", 100, "images", but="at night", instead_of="by day")
    expected = order(searcher, changed_picture(picture, plus, minus))
    assert ids(hits) == [item for item in expected if item != "id 4"]
    hits = searcher.search_image(coloured(4), 3, "images", but="at night")
    assert ids(hits) == order(searcher, changed_picture(picture, plus, None))[:3]
    with pytest.raises(QueryError, match="Say what the picture should show"):
        searcher.search_item("id 4", instead_of="by day")


def test_the_opposite_is_only_known_in_picturebook(searcher: Searcher) -> None:
    assert likely_alternative(searcher, searcher.gallery.image_embeddings[0], "at night") == ""
