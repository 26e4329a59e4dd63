"""Several batches at a time: the outputs are those of one at a time, in order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Barrier, RLock, get_ident

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from itr_core import load_encoder
from itr_core.encoders.streams import map_batches, several_batches


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def numbered(count: int) -> Iterator[Tensor]:
    return (torch.tensor([float(number)]) for number in range(count))


def test_two_batches_run_at_a_time_with_a_thread_each_and_the_order_stays() -> None:
    both = Barrier(2)

    def tower(batch: Tensor) -> tuple[float, int]:
        both.wait(timeout=20)  # passes if two batches run at the same time only
        return float(batch), torch.get_num_threads()

    with several_batches():
        outputs = map_batches(tower, numbered(4), nullcontext())
    assert outputs == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("inside", "batches"), [(False, 3), (True, 1)])
def test_one_batch_runs_here_with_all_threads(inside: bool, batches: int) -> None:
    with several_batches() if inside else nullcontext():
        outputs = map_batches(
            lambda batch: (get_ident(), torch.get_num_threads()), numbered(batches), nullcontext()
        )
    assert outputs == [(get_ident(), 2)] * batches


def test_the_lock_is_free_while_the_next_batches_are_awaited() -> None:
    lock = RLock()

    def batches() -> Iterator[Tensor]:
        for batch in numbered(5):
            assert not lock._is_owned()  # type: ignore[attr-defined]  # no public method says it
            yield batch

    with several_batches():
        map_batches(lambda batch: batch, batches(), lock)


def test_an_error_of_the_tower_is_raised_and_the_threads_are_given_back() -> None:
    def fail(batch: Tensor) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"), several_batches():
        map_batches(fail, numbered(4), nullcontext())
    with ThreadPoolExecutor(1) as later:
        assert torch.get_num_threads() == later.submit(torch.get_num_threads).result() == 2


def test_embeddings_are_those_of_one_batch_at_a_time() -> None:
    encoder = load_encoder("starter:infonce", device="cpu")
    images = [Image.new("RGB", (64, 64), (20 * number, 90, 40)) for number in range(5)]
    texts = ["a red car", "two dogs on a long and sandy beach", "a cat", "an old man", "rain"]
    with several_batches():
        v, patches = encoder.encode_images(images, batch_size=2, tokens=True)
        t, words, mask = encoder.encode_texts(texts, batch_size=2, tokens=True)
        alone = encoder.encode_texts(texts, batch_size=2)
    assert not encoder.training
    expected = encoder.encode_images(images, batch_size=2, tokens=True)
    np.testing.assert_allclose(v, expected[0], atol=1e-5)
    np.testing.assert_allclose(patches, expected[1], atol=1e-5)
    vectors, tokens, used = encoder.encode_texts(texts, batch_size=2, tokens=True)
    np.testing.assert_allclose(t, vectors, atol=1e-5)
    np.testing.assert_allclose(alone, vectors, atol=1e-5)
    np.testing.assert_allclose(words, tokens, atol=1e-5)
    np.testing.assert_array_equal(mask, used)
