"""Rankings for changed words equal those of fresh searches."""

from collections.abc import Sequence

import numpy as np
import pytest

from analysis.probes.query_edits import rankings, without_each_word
from analysis.probes.wrong_captions import wrong_captions
from itr_core import Gallery, Searcher, load_encoder, load_pairs
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.source import scene_of_id


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    encoder = load_encoder("starter:infonce")
    path = tmp_path_factory.mktemp("edits") / "gallery"
    return Searcher(Gallery.build(load_pairs("picturebook:gallery@60"), encoder, path), encoder)


def test_ranks_of_changed_queries_are_those_of_fresh_searches(searcher: Searcher) -> None:
    texts = without_each_word("two brown dogs and a red car at night")
    assert texts[1] == "two dogs and a red car at night"
    found = rankings(searcher.encode_texts, searcher.gallery.image_embeddings, texts, 7, best=5)
    item = str(searcher.gallery.items["image_id"].iat[7])
    for each in found:
        hits = searcher.search_text(each.text, 60)
        own = next(hit for hit in hits if hit.item_id == item)
        assert each.rank == own.rank
        assert each.score == pytest.approx(own.score, abs=1e-5)
        assert [searcher.gallery.row(hit.item_id) for hit in hits[:5]] == each.rows


def test_ranks_among_labelled_pictures_are_those_of_a_filtered_search(searcher: Searcher) -> None:
    label, rows = next(iter(searcher.labels.items()))
    row = int(rows[-1])
    [found] = rankings(
        searcher.encode_texts, searcher.gallery.image_embeddings, ["a red car"], row, best=3, among=rows
    )
    hits = searcher.search_text("a red car", 60, labels=[label])
    assert len(hits) == len(rows)
    assert hits[found.rank - 1].item_id == searcher.gallery.items["image_id"].iat[row]
    assert [searcher.gallery.row(hit.item_id) for hit in hits[:3]] == found.rows


def test_equal_scores_are_ranked_by_row() -> None:
    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 1), np.float32)

    for row in range(4):
        [found] = rankings(encode, np.ones((4, 1), np.float32), ["x"], row, best=2)
        assert (found.rank, found.rows) == (row + 1, [0, 1])
    assert rankings(encode, np.ones((4, 1), np.float32), [], 0) == []
    assert len(without_each_word("word " * 900)) == 40


def test_wrong_captions_are_false_of_the_picture(searcher: Searcher) -> None:
    for item in searcher.gallery.items["image_id"].iloc[:10]:
        wrong = wrong_captions(searcher, item, 3)
        assert wrong.exact
        assert len(wrong.hits) == 3
        assert [hit.score for hit in wrong.hits] == sorted((hit.score for hit in wrong.hits), reverse=True)
        facts = SceneFacts(scene_of_id(item))
        for hit in wrong.hits:
            [meaning] = {
                each.meaning for each in captions_of(scene_of_id(hit.item_id)) if each.text == hit.caption
            }
            assert not facts.entail(meaning)
