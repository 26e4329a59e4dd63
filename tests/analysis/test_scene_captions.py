"""Captions of scenes: their marks are true, their order is the model's, the rank is that of a search."""

from typing import cast

import numpy as np
import pytest

from analysis.scene_captions import SceneCaptions
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from itr_core.picturebook import scene_edits
from itr_core.picturebook.scene_code import decode, encode
from itr_core.picturebook.semantics import entails
from itr_core.picturebook.source import scene_of_id
from itr_core.picturebook.splits import scene_of
from itr_core.picturebook.statements import statements
from itr_core.retrieval.searcher import Searcher
from tests.picturebook.random_edits import edited_scenes

DIM = 16


class _AnyModel:
    """Random but fixed embeddings of texts: the marks have to be right whatever a model says."""

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.stack([np.random.default_rng([*text.encode()]).normal(size=DIM) for text in texts])


def of_any_model(monkeypatch: pytest.MonkeyPatch) -> SceneCaptions:
    captions = SceneCaptions(cast(Searcher, _AnyModel()))
    monkeypatch.setattr(
        captions, "embedding", lambda scene: np.random.default_rng([*encode(scene).encode()]).normal(size=DIM)
    )
    return captions


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    encoder = load_encoder("starter:infonce").fuse()
    folder = tmp_path_factory.mktemp("galleries") / "picturebook"
    return Searcher(Gallery.build(load_pairs("picturebook:gallery@20"), encoder, folder), encoder)


@pytest.mark.parametrize(
    "number",
    [200, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.fuzz, pytest.mark.timeout(3600)])],
)
def test_marks_are_the_truth_of_the_generator(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = of_any_model(monkeypatch)
    marks = set()
    for start, scene in edited_scenes(number, seed=1):
        restored = decode(encode(scene))
        judged = captions.judged(scene, start)
        assert {each.caption.text: each.true for each in judged} == {
            each.caption.text: entails(restored, each.caption.meaning) for each in judged
        }
        assert {each.caption for each in statements(scene)} <= {each.caption for each in judged if each.true}
        marks |= {each.true for each in judged}
    assert marks == {True, False}


def test_captions_are_ordered_by_the_cosine_of_the_model(searcher: Searcher) -> None:
    scene = scene_of("gallery", 3)
    judged = SceneCaptions(searcher).judged(scene, scene)
    scores = [each.score for each in judged]
    assert scores == sorted(scores, reverse=True)
    texts = [each.caption.text for each in judged]
    assert len(texts) == len(set(texts))
    own = searcher.gallery.image_embeddings[3]
    assert scores == pytest.approx((searcher.encode_texts(texts) @ own).tolist(), abs=2e-3)


def test_captions_that_an_edit_made_false_stay(searcher: Searcher) -> None:
    start = scene_of("gallery", 3)
    edited = scene_edits.change(start, 0, "colour", "brown")
    judged = {each.caption.text: each.true for each in SceneCaptions(searcher).judged(edited, start)}
    assert judged["a sleeping white dog"] is False
    assert judged["a sleeping brown dog"] is True


def test_the_rank_is_that_of_a_search(searcher: Searcher) -> None:
    captions, item = SceneCaptions(searcher), "gallery-000003.png"
    for query in ("a red car", "a dog", "a beach"):
        hits = [hit.item_id for hit in searcher.search_text(query, 20)]
        assert captions.rank(query, scene_of_id(item), without=item) == (1 + hits.index(item), 20)
        rank, pictures = captions.rank(query, scene_of("test", 0))
        assert 1 <= rank <= pictures == 21


def test_embeddings_of_texts_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.scene_captions.MOST_TEXTS", 60)
    scenes = [scene_of("gallery", index) for index in range(6)]
    few = [of_any_model(monkeypatch).judged(scene, scene) for scene in scenes]
    one = of_any_model(monkeypatch)
    assert [one.judged(scene, scene) for scene in scenes] == few
