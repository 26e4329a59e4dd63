"""The contract between the analysis page and its tabs."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

from ui.web.analysis.jobs import Stop


class Tab(NamedTuple):
    """What the page needs to run a tab whose components are laid out.

    Attributes:
        show: `show(names, *values)` yields values for `outputs`: once, or several times while it computes.
            `names` are the selected galleries, at least one; `values` are those of `inputs`.
        inputs: Components whose changes update the tab.
        outputs: Components that the tab updates.
        stop: The button that ends a long computation, if the tab has one.
        linked: Maps the parameters of a link to values for `inputs`; returns None if the link is not for
            this tab.
    """

    show: Callable[..., Generator[tuple[Any, ...]]]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    stop: Stop | None = None
    linked: Callable[[Mapping[str, str]], Sequence[Any] | None] | None = None
