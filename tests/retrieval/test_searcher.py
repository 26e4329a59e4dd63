"""Searching a gallery: correct results in order, unusual queries, and clear errors."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.token_similarity import local_similarity
from itr_core.errors import GalleryError, QueryError
from itr_core.gallery import Gallery
from itr_core.pairs import PairSet
from itr_core.retrieval.searcher import Hit, Searcher

MODEL = "picturebook-vit/none"
COUNT = 30
TERSE = ["a dog", "a cat", "a boat"]


def striped(seed: int) -> Image.Image:
    """Draw an image of random colours."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((64, 64), Image.Resampling.NEAREST)


def gallery_of(
    captions: list[list[str]], encoder: DualEncoder, path: Path, *, tokens: bool = False
) -> Gallery:
    ids = [f"id {n}" for n in range(len(captions))]
    columns = {"image": list(range(len(captions))), "captions": captions, "image_id": ids}
    pairs = PairSet(Dataset.from_dict(columns), source="stripes", decode=striped)
    return Gallery.build(pairs, encoder, path, tokens=tokens)


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder(MODEL)


@pytest.fixture(scope="module")
def searcher(encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Each image has one unique caption and one that it shares with a third of the images."""
    captions = [[TERSE[n % 3], f"stripes in the order {n} of {n * n}"] for n in range(COUNT)]
    return Searcher(gallery_of(captions, encoder, tmp_path_factory.mktemp("search") / "gallery"), encoder)


def test_encoding_many_texts_equals_the_encoder(searcher: Searcher, encoder: DualEncoder) -> None:
    texts = [f"stripes and {n} dogs" for n in range(300)]
    np.testing.assert_allclose(searcher.encode_texts(texts), encoder.encode_texts(texts), atol=1e-5)
    assert searcher.encode_texts([]).shape == (0, encoder.dim)


def test_a_text_finds_the_images_with_the_highest_cosines(searcher: Searcher, encoder: DualEncoder) -> None:
    hits = searcher.search_text("three dogs on stripes", k=7)
    gallery = searcher.gallery
    scores = gallery.image_embeddings @ encoder.encode_texts(["three dogs on stripes"])[0]
    best = np.argsort(-scores)[:7]
    assert [hit.item_id for hit in hits] == [f"id {row}" for row in best]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose([hit.score for hit in hits], scores[best], atol=1e-6)
    assert all(hit.thumbnail == gallery.thumbnail(hit.item_id) and hit.thumbnail.is_file() for hit in hits)


def test_an_image_found_has_its_caption_nearest_to_the_query(searcher: Searcher) -> None:
    captions = {hit.item_id: hit.caption for hit in searcher.search_text(TERSE[0], k=COUNT)}
    assert all(captions[f"id {n}"] == TERSE[0] for n in range(0, COUNT, 3))
    own = searcher.search_text("stripes in the order 4 of 16", k=COUNT)
    assert next(hit.caption for hit in own if hit.item_id == "id 4") == "stripes in the order 4 of 16"


def test_an_image_finds_every_distinct_caption_once(searcher: Searcher, encoder: DualEncoder) -> None:
    hits = searcher.search_image(striped(5), k=100)
    assert len(hits) == COUNT + len(TERSE)
    assert len({hit.caption for hit in hits}) == len(hits)
    texts = encoder.encode_texts([hit.caption for hit in hits])
    np.testing.assert_allclose(
        [hit.score for hit in hits], texts @ encoder.encode_images([striped(5)])[0], atol=1e-6
    )
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    item_of = {hit.caption: hit.item_id for hit in hits}
    assert item_of["a cat"] == "id 1"  # the first of those that share it
    assert item_of["stripes in the order 7 of 49"] == "id 7"


def test_an_image_finds_itself(searcher: Searcher) -> None:
    best = searcher.search_image(striped(11), k=1, of="images")[0]
    assert (best.item_id, best.rank) == ("id 11", 1)
    assert best.score == pytest.approx(1, abs=1e-5)


def test_a_text_finds_captions(searcher: Searcher) -> None:
    best = searcher.search_text("stripes in the order 8 of 64", k=1, of="captions")[0]
    assert (best.caption, best.item_id) == ("stripes in the order 8 of 64", "id 8")
    assert best.score == pytest.approx(1, abs=1e-5)


def test_an_item_finds_others_but_not_itself(searcher: Searcher) -> None:
    given = searcher.search_image(striped(3), k=6, of="images")
    assert given[0].item_id == "id 3"
    found = searcher.search_item("id 3", k=5, of="images")
    assert [hit.item_id for hit in found] == [hit.item_id for hit in given[1:]]
    assert [hit.rank for hit in found] == [1, 2, 3, 4, 5]
    assert len(searcher.search_item("id 3", k=100, of="images")) == COUNT - 1
    assert [h.caption for h in searcher.search_item("id 3")] == [
        h.caption for h in searcher.search_image(striped(3))
    ]
    with pytest.raises(QueryError, match="no image 'id 99'"):
        searcher.search_item("id 99")


# ---- unusual queries


@pytest.mark.parametrize("query", ["", "   ", "\n\t", "\0", "\ud800", "\u3000"])
def test_an_empty_query_is_refused(searcher: Searcher, query: str) -> None:
    with pytest.raises(QueryError, match="type a few words"):
        searcher.search_text(query)


@pytest.mark.parametrize("k", [0, -1, 101])
def test_a_number_of_results_out_of_range_is_refused(searcher: Searcher, k: int) -> None:
    message = f"{k} results .*1 to 100"
    with pytest.raises(QueryError, match=message):
        searcher.search_text("dog", k)
    with pytest.raises(QueryError, match=message):
        searcher.search_image(striped(0), k)


def test_an_unknown_kind_of_result_is_refused(searcher: Searcher) -> None:
    kind: Any = "image"
    with pytest.raises(QueryError, match=r"'image' .*Did you mean 'images'"):
        searcher.search_text("dog", of=kind)


@settings(deadline=None, max_examples=30)
@given(query=st.text(st.characters(), min_size=1, max_size=60), times=st.sampled_from([1, 300]))
def test_any_text_returns_k_different_images(searcher: Searcher, query: str, times: int) -> None:
    try:
        hits = searcher.search_text(query * times, k=COUNT)
    except QueryError:
        assert not query.encode("utf-8", "ignore").decode().replace("\0", " ").strip()
        return
    assert len({hit.item_id for hit in hits}) == COUNT
    assert np.isfinite([hit.score for hit in hits]).all()


def test_spaces_and_unicode_form_have_no_effect(searcher: Searcher) -> None:
    assert searcher.search_text("  a  cafe\u0301 \n") == searcher.search_text("a café")


def test_equal_queries_are_encoded_once(
    searcher: Searcher, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = encoder.encode_texts

    def recorded(texts: list[str]) -> np.ndarray:
        encoded.extend(texts)
        return encode(texts)

    monkeypatch.setattr(encoder, "encode_texts", recorded)
    first = searcher.search_text("a new query", k=3)
    assert searcher.search_text(" a new  query ", k=3) == first
    assert len(searcher.search_text("a new query", k=4, of="captions")) == 4
    assert encoded == ["a new query"]


def test_many_threads_get_the_results_of_one(searcher: Searcher) -> None:
    queries = [f"query number {n}" for n in range(60)]

    def search(query: str) -> tuple[list[Hit], list[Hit]]:
        return searcher.search_text(query), searcher.search_image(striped(len(query)), k=3)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(search, queries))
    alone = Searcher(searcher.gallery, searcher.encoder)
    assert together == [(alone.search_text(q), alone.search_image(striped(len(q)), k=3)) for q in queries]


def test_searchers_with_one_encoder_encode_one_query_at_a_time(
    searcher: Searcher, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0
    tokenise = encoder.tokenizer

    def counted(texts: list[str]) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        running -= 1
        return tokenise(texts)

    monkeypatch.setattr(encoder, "tokenizer", counted)
    searchers = [searcher, Searcher(searcher.gallery, encoder)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: searchers[n % 2].search_text(f"concurrent query {n}"), range(12)))
    assert most == 1


# ---- re-ranking


@pytest.fixture(scope="module")
def with_tokens(encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """120 images, more than are re-ranked."""
    captions = [[f"stripes in the order {n} of {n * n}"] for n in range(120)]
    path = tmp_path_factory.mktemp("tokens") / "gallery"
    return Searcher(gallery_of(captions, encoder, path, tokens=True), encoder, u1=0.6)


def fused(searcher: Searcher, text: str, image: int) -> float:
    """Compute 0.6 S_local + 0.4 cosine of one pair from the encoder's tokens."""
    v, patches = searcher.encoder.encode_images([striped(image)], tokens=True)
    t, words, mask = searcher.encoder.encode_texts([text], tokens=True)
    local = local_similarity(torch.from_numpy(patches), torch.from_numpy(words), torch.from_numpy(mask))
    return 0.6 * local.item() + 0.4 * float(v[0] @ t[0])


def test_a_text_reranks_the_100_best_images(with_tokens: Searcher) -> None:
    query = "stripes in order"
    hits = with_tokens.search_text(query, k=100, rerank=True)
    plain = with_tokens.search_text(query, k=100)
    assert {hit.item_id for hit in hits} == {hit.item_id for hit in plain}  # of 120
    assert [hit.item_id for hit in hits] != [hit.item_id for hit in plain]
    assert [hit.rank for hit in hits] == list(range(1, 101))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    expected = [fused(with_tokens, query, int(hit.item_id[3:])) for hit in hits]
    np.testing.assert_allclose(scores, expected, atol=1e-3)  # tokens are stored in half precision
    assert with_tokens.search_text(query, k=5, rerank=True) == hits[:5]


def test_an_image_reranks_the_100_best_captions(with_tokens: Searcher) -> None:
    hits = with_tokens.search_image(striped(11), k=100, rerank=True)
    plain = with_tokens.search_image(striped(11), k=100)
    assert {hit.caption for hit in hits} == {hit.caption for hit in plain}
    assert [hit.caption for hit in hits] != [hit.caption for hit in plain]
    expected = [fused(with_tokens, hit.caption, 11) for hit in hits]
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-5)
    item = with_tokens.search_item("id 11", k=100, rerank=True)
    np.testing.assert_allclose([hit.score for hit in item], expected, atol=1e-3)


def test_u1_of_zero_keeps_the_order_by_cosine(with_tokens: Searcher) -> None:
    plain = Searcher(with_tokens.gallery, with_tokens.encoder, u1=0.0)
    expected = plain.search_text("stripes", k=30)
    found = plain.search_text("stripes", k=30, rerank=True)
    assert [hit.item_id for hit in found] == [hit.item_id for hit in expected]
    np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], atol=1e-6)


def test_reranking_without_tokens_is_refused(searcher: Searcher) -> None:
    command = f"pairscope build stripes --model {MODEL} --out {searcher.gallery.path} --tokens"
    with pytest.raises(GalleryError, match=f"has no image tokens.*{command}$"):
        searcher.search_text("dog", rerank=True)
    with pytest.raises(GalleryError, match="has no image tokens"):
        searcher.search_item("id 3", rerank=True)
    assert searcher.search_image(striped(3), k=3, rerank=True)  # the tokens of an uploaded image are computed


def test_reranking_needs_an_image_and_a_text(with_tokens: Searcher) -> None:
    with pytest.raises(QueryError, match="Only images can be re-ranked"):
        with_tokens.search_text("dog", of="captions", rerank=True)
    with pytest.raises(QueryError, match="Only captions can be re-ranked"):
        with_tokens.search_image(striped(0), of="images", rerank=True)
    with pytest.raises(QueryError, match=r"u1=1\.5"):
        Searcher(with_tokens.gallery, with_tokens.encoder, u1=1.5)


# ---- galleries that cannot be searched


def test_a_gallery_of_another_model_is_refused(searcher: Searcher) -> None:
    other = load_encoder(MODEL, seed=1)
    with pytest.raises(GalleryError) as caught:
        Searcher(searcher.gallery, other)
    for fingerprint in (other.fingerprint, searcher.encoder.fingerprint):
        assert f"{MODEL} ({fingerprint[:12]})" in str(caught.value)
    assert str(caught.value).endswith(
        f"compared. Rebuild it: pairscope build stripes --model {MODEL} --out {searcher.gallery.path}"
    )


def test_a_gallery_of_another_architecture_is_refused(searcher: Searcher) -> None:
    with pytest.raises(GalleryError, match=f"Search it with --model {MODEL}, or rebuild it.*RN50/none"):
        Searcher(searcher.gallery, load_encoder("RN50/none"))


def test_a_gallery_without_captions(encoder: DualEncoder, tmp_path: Path) -> None:
    searcher = Searcher(gallery_of([[], [], []], encoder, tmp_path / "gallery"), encoder)
    hits = searcher.search_text("a dog")
    assert len(hits) == 3
    assert {hit.caption for hit in hits} == {""}
    assert searcher.found_by_image == "images"
    assert searcher.search_image(striped(1), k=1)[0].item_id == "id 1"
    assert {hit.item_id for hit in searcher.search_item("id 1")} == {"id 0", "id 2"}
    with pytest.raises(QueryError, match="no captions to find"):
        searcher.search_image(striped(0), of="captions")


def test_the_only_image_of_a_gallery_finds_no_other(encoder: DualEncoder, tmp_path: Path) -> None:
    searcher = Searcher(gallery_of([[]], encoder, tmp_path / "gallery"), encoder)
    assert searcher.search_item("id 0") == []
    assert [hit.item_id for hit in searcher.search_image(striped(0))] == ["id 0"]


@pytest.mark.parametrize(("query", "message"), [(None, "empty"), (7, "int is no text"), (b"dog", "no text")])
def test_a_query_that_is_no_text_is_refused(searcher: Searcher, query: Any, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        searcher.search_text(query)
