"""Searching a gallery: the right results in the right order, and kind words for every odd query."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    """A picture unlike the others."""
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
    """Each picture has a caption of its own, and one of three that it shares with others."""
    captions = [[TERSE[n % 3], f"stripes in the order {n} of {n * n}"] for n in range(COUNT)]
    return Searcher(gallery_of(captions, encoder, tmp_path_factory.mktemp("search") / "gallery"), encoder)


def test_many_texts_are_encoded_as_by_the_encoder(searcher: Searcher, encoder: DualEncoder) -> None:
    texts = [f"stripes and {n} dogs" for n in range(300)]
    np.testing.assert_allclose(searcher.encode_texts(texts), encoder.encode_texts(texts), atol=1e-5)
    assert searcher.encode_texts([]).shape == (0, encoder.dim)


def test_words_find_pictures(searcher: Searcher, encoder: DualEncoder) -> None:
    hits = searcher.search_text("three dogs on stripes", k=7)
    gallery = searcher.gallery
    scores = gallery.image_embeddings @ encoder.encode_texts(["three dogs on stripes"])[0]
    best = np.argsort(-scores)[:7]
    assert [hit.item_id for hit in hits] == [f"id {row}" for row in best]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose([hit.score for hit in hits], scores[best], atol=1e-6)
    assert all(hit.thumbnail == gallery.thumbnail(hit.item_id) and hit.thumbnail.is_file() for hit in hits)


def test_found_picture_shows_the_caption_nearest_to_the_query(searcher: Searcher) -> None:
    shown = {hit.item_id: hit.caption for hit in searcher.search_text(TERSE[0], k=COUNT)}
    assert all(shown[f"id {n}"] == TERSE[0] for n in range(0, COUNT, 3))
    own = searcher.search_text("stripes in the order 4 of 16", k=COUNT)
    assert next(hit.caption for hit in own if hit.item_id == "id 4") == "stripes in the order 4 of 16"


def test_picture_finds_captions_each_wording_once(searcher: Searcher, encoder: DualEncoder) -> None:
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


def test_picture_finds_itself(searcher: Searcher) -> None:
    best = searcher.search_image(striped(11), k=1, of="images")[0]
    assert (best.item_id, best.rank) == ("id 11", 1)
    assert best.score == pytest.approx(1, abs=1e-5)


def test_words_find_captions(searcher: Searcher) -> None:
    best = searcher.search_text("stripes in the order 8 of 64", k=1, of="captions")[0]
    assert (best.caption, best.item_id) == ("stripes in the order 8 of 64", "id 8")
    assert best.score == pytest.approx(1, abs=1e-5)


def test_item_finds_others_but_not_itself(searcher: Searcher) -> None:
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


# ---- odd queries


@pytest.mark.parametrize("query", ["", "   ", "\n\t", "\0", "\ud800", "\u3000"])
def test_empty_query(searcher: Searcher, query: str) -> None:
    with pytest.raises(QueryError, match="type a few words"):
        searcher.search_text(query)


@pytest.mark.parametrize("k", [0, -1, 101])
def test_number_of_results_out_of_range(searcher: Searcher, k: int) -> None:
    for search in (lambda: searcher.search_text("dog", k), lambda: searcher.search_image(striped(0), k)):
        with pytest.raises(QueryError, match=f"{k} results .*1 to 100"):
            search()


def test_unknown_thing_to_find(searcher: Searcher) -> None:
    with pytest.raises(QueryError, match=r"'image' .*Did you mean 'images'"):
        searcher.search_text("dog", of="image")  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(query=st.text(st.characters(), min_size=1, max_size=60), times=st.sampled_from([1, 300]))
def test_any_text_gives_k_different_results(searcher: Searcher, query: str, times: int) -> None:
    try:
        hits = searcher.search_text(query * times, k=COUNT)
    except QueryError:
        assert not query.encode("utf-8", "ignore").decode().replace("\0", " ").strip()
        return
    assert len({hit.item_id for hit in hits}) == COUNT
    assert np.isfinite([hit.score for hit in hits]).all()


def test_spelling_of_spaces_and_accents_does_not_matter(searcher: Searcher) -> None:
    assert searcher.search_text("  a  cafe\u0301 \n") == searcher.search_text("a café")


def test_same_query_is_encoded_once(
    searcher: Searcher, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = encoder.encode_texts
    monkeypatch.setattr(encoder, "encode_texts", lambda texts: encoded.extend(texts) or encode(texts))
    first = searcher.search_text("never asked before", k=3)
    assert searcher.search_text(" never asked  before ", k=3) == first
    assert len(searcher.search_text("never asked before", k=4, of="captions")) == 4
    assert encoded == ["never asked before"]


def test_many_threads_get_what_one_gets(searcher: Searcher) -> None:
    queries = [f"query number {n}" for n in range(60)]

    def ask(query: str) -> tuple[list[Hit], list[Hit]]:
        return searcher.search_text(query), searcher.search_image(striped(len(query)), k=3)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, queries))
    alone = Searcher(searcher.gallery, searcher.encoder)
    assert together == [(alone.search_text(q), alone.search_image(striped(len(q)), k=3)) for q in queries]


# ---- in two steps


@pytest.fixture(scope="module")
def with_tokens(encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """120 pictures, more than are ranked again."""
    captions = [[f"stripes in the order {n} of {n * n}"] for n in range(120)]
    path = tmp_path_factory.mktemp("tokens") / "gallery"
    return Searcher(gallery_of(captions, encoder, path, tokens=True), encoder, u1=0.6)


def fused(searcher: Searcher, text: str, image: int) -> float:
    """0.6 S_local + 0.4 cosine of one pair, from the encoder's own tokens."""
    v, places = searcher.encoder.encode_images([striped(image)], tokens=True)
    t, words, mask = searcher.encoder.encode_texts([text], tokens=True)
    local = local_similarity(torch.from_numpy(places), torch.from_numpy(words), torch.from_numpy(mask))
    return 0.6 * local.item() + 0.4 * float(v[0] @ t[0])


def test_words_rank_the_hundred_best_pictures_again(with_tokens: Searcher) -> None:
    query = "stripes in order"
    hits = with_tokens.search_text(query, k=100, rerank=True)
    plain = with_tokens.search_text(query, k=100)
    assert {hit.item_id for hit in hits} == {hit.item_id for hit in plain}  # of 120: no others come in
    assert [hit.item_id for hit in hits] != [hit.item_id for hit in plain]
    assert [hit.rank for hit in hits] == list(range(1, 101))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    expected = [fused(with_tokens, query, int(hit.item_id[3:])) for hit in hits]
    np.testing.assert_allclose(scores, expected, atol=1e-3)  # tokens are kept in half precision
    assert with_tokens.search_text(query, k=5, rerank=True) == hits[:5]


def test_a_picture_ranks_the_hundred_best_captions_again(with_tokens: Searcher) -> None:
    hits = with_tokens.search_image(striped(11), k=100, rerank=True)
    plain = with_tokens.search_image(striped(11), k=100)
    assert {hit.caption for hit in hits} == {hit.caption for hit in plain}
    assert [hit.caption for hit in hits] != [hit.caption for hit in plain]
    expected = [fused(with_tokens, hit.caption, 11) for hit in hits]
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-5)
    item = with_tokens.search_item("id 11", k=100, rerank=True)
    np.testing.assert_allclose([hit.score for hit in item], expected, atol=1e-3)


def test_nothing_of_the_local_similarity_leaves_the_order(with_tokens: Searcher) -> None:
    plain = Searcher(with_tokens.gallery, with_tokens.encoder, u1=0.0)
    expected = plain.search_text("stripes", k=30)
    found = plain.search_text("stripes", k=30, rerank=True)
    assert [hit.item_id for hit in found] == [hit.item_id for hit in expected]
    np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], atol=1e-6)


def test_no_tokens_to_rank_again_by(searcher: Searcher) -> None:
    command = f"pairscope build stripes --model {MODEL} --out {searcher.gallery.path} --tokens"
    with pytest.raises(GalleryError, match=f"keeps no image tokens.*{command}$"):
        searcher.search_text("dog", rerank=True)
    with pytest.raises(GalleryError, match="keeps no image tokens"):
        searcher.search_item("id 3", rerank=True)
    assert searcher.search_image(striped(3), k=3, rerank=True)  # a picture brings its own


def test_like_to_like_is_not_ranked_again(with_tokens: Searcher) -> None:
    with pytest.raises(QueryError, match="Only images can be ranked again"):
        with_tokens.search_text("dog", of="captions", rerank=True)
    with pytest.raises(QueryError, match="Only captions can be ranked again"):
        with_tokens.search_image(striped(0), of="images", rerank=True)
    with pytest.raises(QueryError, match=r"u1=1\.5"):
        Searcher(with_tokens.gallery, with_tokens.encoder, u1=1.5)


# ---- galleries that cannot answer


def test_gallery_of_another_model(searcher: Searcher) -> None:
    other = load_encoder(MODEL, seed=1)
    with pytest.raises(GalleryError) as caught:
        Searcher(searcher.gallery, other)
    for fingerprint in (other.fingerprint, searcher.encoder.fingerprint):
        assert f"{MODEL} ({fingerprint[:12]})" in str(caught.value)
    assert str(caught.value).endswith(
        f"compared. Build it again: pairscope build stripes --model {MODEL} --out {searcher.gallery.path}"
    )


def test_gallery_of_another_architecture(searcher: Searcher) -> None:
    with pytest.raises(GalleryError, match=f"Search it with --model {MODEL}, or build it again.*RN50/none"):
        Searcher(searcher.gallery, load_encoder("RN50/none"))


def test_gallery_without_captions(encoder: DualEncoder, tmp_path: Path) -> None:
    searcher = Searcher(gallery_of([[], [], []], encoder, tmp_path / "gallery"), encoder)
    hits = searcher.search_text("a dog")
    assert len(hits) == 3
    assert {hit.caption for hit in hits} == {""}
    with pytest.raises(QueryError, match="no captions to find"):
        searcher.search_image(striped(0))
