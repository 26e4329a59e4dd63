"""Many threads use one encoder, one searcher and one analysis: the answers are those of a single thread."""

import gc
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.gallery_analysis import GalleryAnalysis
from analysis.lexicon import content
from analysis.probes.word_edits import word_edits
from analysis.probes.word_importance import word_importance, word_patch_map
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from itr_core.picturebook.parsing import parse_query
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.splits import scene_of
from itr_core.retrieval.searcher import Searcher
from itr_core.vocabulary import content_words

THREADS, ROUNDS = 8, 5

Call = Callable[[], Any]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Return one call of every method that visitors share, each with several inputs."""
    encoder = load_encoder("starter:infonce")
    folder = tmp_path_factory.mktemp("galleries") / "gallery"
    gallery = Gallery.build(load_pairs("picturebook:gallery@12"), encoder, folder, tokens=True)
    searcher, analysis = Searcher(gallery, encoder), GalleryAnalysis(gallery)
    calls: list[Call] = []
    for row, caption in enumerate(analysis.captions[:3]):
        item = str(gallery.items["image_id"].iloc[row])
        image = Image.open(gallery.thumbnail(item)).convert("RGB")
        long = f"{caption} " * (25 * row)
        calls += [
            partial(encoder.encode_texts, [caption, f"not {caption}"]),
            partial(encoder.encode_texts, [long, "a dog"], tokens=True),
            partial(encoder.split_at_context, long),
            partial(encoder.unseen_words, f"{caption} zzz"),
            partial(encoder.encode_images, [image]),
            partial(encoder.image_features, [image]),
            partial(searcher.search_text, caption, 5),
            partial(searcher.search_text, caption, 5, rerank=True),
            partial(searcher.search_image, image, 5, rerank=True),
            partial(searcher.search_item, item, 5, of="images"),
            partial(word_importance, searcher, caption, analysis.images[row]),
            partial(word_patch_map, encoder, image, caption),
        ]
    calls += [
        analysis.geometry,
        analysis.misses,
        analysis.ranks,
        partial(analysis.map, "joint", "pca"),
        lambda: analysis.object_words,
    ]
    return calls


def plain(answer: Any) -> Any:
    """Return what NumPy can compare: arrays instead of tables and maps."""
    if isinstance(answer, pd.DataFrame):
        return answer.to_numpy()
    return [each.points for each in answer.values()] if isinstance(answer, dict) else answer


def test_answers_do_not_depend_on_other_threads(calls: list[Call]) -> None:
    expected = [plain(call()) for call in calls]
    order = [*range(len(calls))] * ROUNDS
    random.Random(0).shuffle(order)
    with ThreadPoolExecutor(THREADS) as threads:
        answers = [*threads.map(lambda number: plain(calls[number]()), order)]
    for number, answer in zip(order, answers, strict=True):
        np.testing.assert_equal(answer, expected[number])


def test_a_slow_image_does_not_block_other_threads() -> None:
    encoder = load_encoder("starter:infonce")

    def images() -> Any:
        with ThreadPoolExecutor(1) as other:
            assert other.submit(encoder.encode_texts, ["a dog"]).result(timeout=120).shape == (1, encoder.dim)
        yield Image.new("RGB", (64, 64))

    assert encoder.encode_images(images()).shape == (1, encoder.dim)


def forget() -> None:
    """Empty the caches of Pairscope's functions, as in a process that has just started."""
    for each in gc.get_objects():
        if type(each).__name__ == "_lru_cache_wrapper" and each.__module__.startswith(
            ("itr_core", "analysis")
        ):
            each.cache_clear()


def objects(caption: str) -> Any:
    return content(caption).objects


def edits(caption: str) -> Any:
    return word_edits(caption, np.random.default_rng(0), objects=["cat", "dog"])


def drawn(index: int) -> bytes:
    return draw(scene_of("val", index)).tobytes()


@pytest.mark.usefixtures("restless_threads")
def test_first_answers_do_not_depend_on_other_threads() -> None:
    captions = load_pairs("picturebook:val@40").flat_captions()[0]
    calls: list[Call] = [partial(content_words, [captions]), *(partial(drawn, index) for index in range(20))]
    calls += [partial(of, caption) for of in (objects, edits, parse_query) for caption in captions]
    order = [*range(len(calls))] * THREADS
    random.Random(0).shuffle(order)
    forget()
    with ThreadPoolExecutor(THREADS) as threads:
        answers = [*threads.map(lambda number: calls[number](), order)]
    forget()
    expected = [call() for call in calls]
    assert [number for number, answer in zip(order, answers, strict=True) if answer != expected[number]] == []
