"""The contract between the analysis page and its tabs."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

from ui.web.analysis.jobs import Stop


class Tab(NamedTuple):
    """What the page needs to run a tab whose components are laid out.

    Attributes:
        show: `show(names, *values)` yields values for `outputs`: once, or several times while it computes.
            `names` are the selected galleries, at least one; `values` are those of `inputs`. They may come
            from a link, and be anything that the components can hold.
        inputs: Components whose changes update the tab, by their names in the address of the page.
        outputs: Components that the tab updates.
        stop: The button that ends a long computation, if the tab has one.
        opened: Those of `inputs` that hold what is open, such as a point of the map: components that are not
            shown. They are emptied when other galleries are selected.
        clicks: Events of the tab's own that change `inputs`.
    """

    show: Callable[..., Generator[tuple[Any, ...]]]
    inputs: Mapping[str, Any]
    outputs: Sequence[Any]
    stop: Stop | None = None
    opened: Sequence[Any] = ()
    clicks: Sequence[Any] = ()
