"""The numbers of the lessons against searches and the truth of a gallery."""

from pathlib import Path

import numpy as np
import pytest

from analysis.gallery_analysis import GalleryAnalysis
from analysis.lesson_data import batch_vectors, lengths, negatives, support
from itr_core import Gallery, Searcher, load_encoder, load_pairs
from itr_core.errors import GalleryError


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    encoder = load_encoder("starter:infonce")
    folder: Path = tmp_path_factory.mktemp("lessons") / "gallery"
    return Searcher(Gallery.build(load_pairs("picturebook:gallery@60"), encoder, folder), encoder)


@pytest.fixture(scope="module")
def analysis(searcher: Searcher) -> GalleryAnalysis:
    return GalleryAnalysis(searcher.gallery)


def test_negatives_are_captions_of_other_pictures(analysis: GalleryAnalysis) -> None:
    gallery, truth = analysis.gallery, analysis.truth
    assert truth is not None
    found = negatives(gallery, truth, seed=1, most=50)
    assert gallery.image_of_caption[found.caption] == found.image
    assert found.image not in gallery.image_of_caption[found.rows]
    assert found.cosines == pytest.approx(
        gallery.text_embeddings[found.rows] @ gallery.image_embeddings[found.image]
    )
    assert found.true is not None
    assert (found.true == truth.matrix()[found.image, found.rows]).all()
    assert negatives(gallery, None, seed=1, most=50).true is None


def test_lengths_are_ranks_of_searches(analysis: GalleryAnalysis, searcher: Searcher) -> None:
    found = lengths(analysis.gallery, analysis.truth, searcher, seed=2)
    item = str(analysis.gallery.items["image_id"].iat[found.image])
    assert len(found.prefixes) == len(found.captions[-1].split())
    assert found.prefixes[-1] == found.ranks[-1]
    for caption, rank in zip(found.captions, found.ranks, strict=True):
        ids = [hit.item_id for hit in searcher.search_text(caption, k=60)]
        assert ids.index(item) + 1 == rank
    true_images = analysis.true_images()
    assert true_images is not None
    counts = dict(zip(analysis.captions, true_images.tolist(), strict=True))
    assert found.correct == [counts[caption] for caption in found.captions]


def test_the_support_shares_labels_and_the_others_do_not(analysis: GalleryAnalysis) -> None:
    found = support(analysis.gallery)
    first, *others = map(set, found.labels)
    shared = [len(first & labels) for labels in others]
    assert shared == sorted(shared, reverse=True)
    assert min(shared[:4]) > 0 == max(shared[4:])
    assert (analysis.gallery.image_of_caption[found.captions] == found.images).all()


def test_a_gallery_without_labels_has_no_support(
    analysis: GalleryAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = analysis.gallery.items.assign(labels=None)
    monkeypatch.setattr(analysis.gallery, "items", items)
    with pytest.raises(GalleryError, match="no labels"):
        support(analysis.gallery)


def test_vectors_are_those_of_the_gallery(analysis: GalleryAnalysis) -> None:
    rows = np.array([3, 5])
    vectors = batch_vectors(analysis.gallery, rows, rows)
    assert np.array(vectors["images"]) == pytest.approx(analysis.gallery.image_embeddings[rows], abs=1e-4)
    assert np.array(vectors["texts"]) == pytest.approx(analysis.gallery.text_embeddings[rows], abs=1e-4)
