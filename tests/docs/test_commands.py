"""The commands in the tutorials and guides: each marked block is run, in the order of its page."""

from collections.abc import Callable

import pytest


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "page",
    [
        "tutorials/search-your-photos.md",
        "tutorials/train-and-compare.md",
        "tutorials/host-it.md",
        "how-to/use-your-data.md",
        "how-to/evaluate.md",
        "how-to/train.md",
        "how-to/call-it.md",
    ],
)
def test_the_commands_of_a_page_work(page: str, follow_page: Callable[[str], None]) -> None:
    follow_page(page)
