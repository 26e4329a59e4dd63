"""Garbage is searched for again once a process has started."""

import gc
import weakref

import pytest

from itr_core.system.garbage import without_search


class Node:
    """Refers to itself, so that only a search finds that it is garbage."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_found_after_the_block_and_not_in_it() -> None:
    with without_search():
        node = weakref.ref(Node())
        _ = [[] for _ in range(100_000)]  # would start searches
        assert node() is not None
    gc.collect()
    assert node() is None


def test_garbage_is_searched_for_after_a_failure() -> None:
    with pytest.raises(ImportError), without_search():
        raise ImportError
    assert gc.isenabled()
