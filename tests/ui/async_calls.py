"""Coroutines run from tests that may have started a browser before."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine.

    It runs in another thread, because Playwright's sync API keeps an event loop running in this one.
    """
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, coroutine).result()
