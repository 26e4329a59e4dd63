"""Composed queries: what is subtracted from a query, and how."""

import time

import numpy as np
import pytest

from itr_core.retrieval.composed import MOST_MINUS, changed_picture, minus_query, split_minus


@pytest.mark.parametrize(
    ("query", "words", "minus"),
    [
        ("a meadow without dogs", "a meadow", ("dogs",)),
        ("no dogs on a beach", "on a beach", ("dogs",)),
        ("a street with no red cars", "a street", ("red cars",)),
        ("street no cars night", "street night", ("cars",)),
        ("a park without a dog, cats or any birds", "a park", ("dog", "cats", "birds")),
        ("a cat but no dog", "a cat", ("dog",)),
        ('red car -night -"big bus"', "red car", ("night", "big bus")),
        ("NO PEOPLE", "", ("PEOPLE",)),
        ("a dog without a cat in front of a barn", "a dog in front of a barn", ("cat",)),
    ],
)
def test_what_should_be_absent_is_taken_out_of_a_query(
    query: str, words: str, minus: tuple[str, ...]
) -> None:
    assert split_minus(query) == (words, minus)


@pytest.mark.parametrize(
    "query", ["a hot-air balloon", "nobody - not one", "a dog without", "no", "10 -3", ""]
)
def test_other_queries_stay_as_they_are(query: str) -> None:
    assert split_minus(query) == (query, ())


@pytest.mark.parametrize("part", ["no ", "no a, ", "-a ", "no dog and cat ", " ", ", ", "without ", "no a-"])
def test_a_long_query_is_split_in_time(part: str) -> None:
    start = time.process_time()
    assert len(split_minus((part * 10_000)[:10_000]).minus) <= MOST_MINUS
    assert time.process_time() - start < 1


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    x = rng.normal(size=shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_minus_terms_are_subtracted_with_half_their_length() -> None:
    words, *minus = unit(np.random.default_rng(0), 3, 8)
    expected = words - 0.5 * minus[0] - 0.5 * minus[1]
    query = minus_query(words, minus)
    np.testing.assert_allclose(query, expected / np.linalg.norm(expected), rtol=1e-5)
    assert query.dtype == np.float32
    np.testing.assert_allclose(minus_query(None, minus[:1]), -minus[0], rtol=1e-5)
    both = minus_query(np.stack([words, minus[1]]), minus)
    np.testing.assert_allclose(both[0], query, rtol=1e-5)


def test_a_change_adds_and_subtracts_words() -> None:
    picture, night, day = unit(np.random.default_rng(1), 3, 8)
    expected = picture + 1.5 * (night - day)
    np.testing.assert_allclose(
        changed_picture(picture, night, day), expected / np.linalg.norm(expected), rtol=1e-5
    )
    assert np.linalg.norm(changed_picture(picture, night, None)) == pytest.approx(1)
