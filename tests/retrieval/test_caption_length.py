"""Searches for captions of so many words."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from itr_core.pairs import PairSet
from itr_core.retrieval.approximate import build_approximate
from itr_core.retrieval.filters import Filters, Words, word_range
from itr_core.retrieval.index import ExactIndex
from itr_core.retrieval.searcher import Hit, Searcher
from tests.retrieval.gap import pairs

COUNT = 30
bounds = st.none() | st.integers(0, 12)


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Picture n has a caption of 1 to 10 words, and one that it shares with other pictures."""
    captions = [[" ".join([f"stripes{n}", *["very"] * (n % 10)]), "some  stripes"] for n in range(COUNT)]
    columns = {
        "image": list(range(COUNT)), "captions": captions, "image_id": [f"id {n}" for n in range(COUNT)],
        "labels": [["striped"]] * COUNT,
    }  # fmt: skip
    pairs = PairSet(Dataset.from_dict(columns), source="stripes", decode=picture)
    encoder = load_encoder("picturebook-vit/none")
    return Searcher(Gallery.build(pairs, encoder, tmp_path_factory.mktemp("words") / "gallery"), encoder)


def picture(seed: int) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((64, 64), Image.Resampling.NEAREST)


def found_by(searcher: Searcher, words: Words | None, k: int = 100) -> list[list[Hit]]:
    image = searcher.gallery.image_embeddings[5]
    return [
        searcher.search_text("red stripes", k, "captions", words=words),
        searcher.search_image(picture(5), k, words=words),
        searcher.search_item("id 5", k, words=words),
        searcher.search_embedding(image, k, "captions", by="images", words=words),
    ]


@given(bounds, bounds, st.integers(1, 40))
def test_every_search_keeps_the_order_of_the_captions_of_so_many_words(
    searcher: Searcher, fewest: int | None, most: int | None, k: int
) -> None:
    def fits(hit: Hit) -> bool:
        return (fewest or 0) <= len(hit.caption.split()) <= (99 if most is None else most)

    expected = [[hit for hit in hits if fits(hit)] for hits in found_by(searcher, None)]
    if (fewest, most) == (None, None) or not expected[0]:
        with pytest.raises(QueryError):
            found_by(searcher, (fewest, most))
        return
    for hits, right in zip(found_by(searcher, (fewest, most), k), expected, strict=True):
        assert [hit.caption for hit in hits] == [hit.caption for hit in right[:k]]
        assert [hit.score for hit in hits] == [hit.score for hit in right[:k]]
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_an_approximate_index_finds_the_best_captions_of_so_many_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("itr_core.retrieval.index._FEW", 0)  # filters, too, are those of the engine
    images, captions = pairs(4_000, 16)
    rows = np.arange(0, 4_000, 2)
    filters = Filters([], ["word " * (1 + row % 9) for row in rows.tolist()])
    index, exact = build_approximate(captions, rows, images[:200]), ExactIndex(captions, rows)
    for words in ((1, 1), (3, 5), (8, None), (None, 2)):
        among = filters.among("captions", words=words)
        _, found = index.search(images[:50], 10, among)
        assert (np.isin(filters.words[found], range(words[0] or 0, 1 + (words[1] or 9)))).all()
        _, best = exact.search(images[:50], 10, among)
        hits = [len(np.intersect1d(one, other)) for one, other in zip(found, best, strict=True)]
        assert np.mean(hits) >= 9.9


@pytest.mark.parametrize(
    ("words", "of", "message"),
    [
        ((8, 3), "captions", "^8-3 words: .*write 3-8"),
        ((3, 8), "images", "^3-8 words: .*not images.*of='captions'"),
        ((40, None), "captions", r"^No caption of this gallery has 40\+ words: choose from 1 to 10\."),
        ((None, 0), "captions", "has -0 words: choose from 1 to 10"),
        ((None, None), "captions", r"words=\(None, None\): give the fewest and the most"),
        ((), "captions", r"words=\(\): give"),
        ("38", "captions", "words='38': give"),
        ((-1, 3), "captions", r"words=\(-1, 3\): give"),
        ((True, 3), "captions", r"words=\(True, 3\): give"),
        (5, "captions", "words=5: give"),
    ],
)
def test_refused_numbers_of_words(searcher: Searcher, words: Any, of: Any, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        searcher.search_text("stripes", of=of, words=words)


def test_labels_do_not_limit_captions_of_so_many_words(searcher: Searcher) -> None:
    with pytest.raises(QueryError, match="Only images can be filtered by label"):
        searcher.search_text("stripes", of="captions", words=(1, 3), labels=["striped"])


@pytest.mark.parametrize("text", ["", " ", "-", "a-b", "3-8-9", "3.5", "--3", "٣", "9" * 30, "3 to 8"])
def test_texts_that_are_no_number_of_words(text: str) -> None:
    with pytest.raises(QueryError, match="is no number of words: write 3-8"):
        word_range(text)


def test_numbers_of_words_are_read_as_people_type_them() -> None:
    texts = ["3-8", " 3 - 8 ", "3–8", "3-", "25+", "-8", "5", "0-0"]
    expected = [(3, 8), (3, 8), (3, 8), (3, None), (25, None), (None, 8), (5, 5), (0, 0)]
    assert [word_range(text) for text in texts] == expected
    with pytest.raises(QueryError, match=r"^8-3 words"):
        word_range("8-3")
