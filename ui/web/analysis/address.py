"""The address of the analysis page: which tab is open, with which galleries, options and opened things."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from itr_core.errors import QueryError
from ui.web.analysis.tab import Tab

GALLERIES, TAB = "g", "tab"
_JS = Path(__file__).with_name("address.js").read_text(encoding="utf-8")


def slug(title: str) -> str:
    """Return the name of a tab in an address.

    >>> slug("Query length")
    'query-length'
    """
    return title.lower().replace(" ", "-")


def address_bar(selected: gr.Dropdown, tabs: Mapping[str, Tab]) -> gr.HTML:
    """Return the component that keeps the page's address; it triggers `restore` and the slugs of `tabs`."""
    parameters = {
        slug(title): {GALLERIES: selected.value} | {name: each.value for name, each in tab.inputs.items()}
        for title, tab in tabs.items()
    }
    # Gradio looks for the names of the events in the script.
    return gr.HTML(
        html_template="",
        js_on_load=f"// {json.dumps(list(parameters))}\n{_JS}",
        tabs=parameters,
        elem_id="address",
    )


def clear(event: Any, components: Sequence[Any]) -> None:
    """Give components their first values again, in the browser, before the event's other handlers run."""
    if components:
        values = json.dumps([each.value for each in components])
        event(None, None, list(components), js=f"() => {values}", api_visibility="private")


def parse_link(
    link: Any, selected: gr.Dropdown, tabs: Mapping[str, Tab]
) -> tuple[str, list[str] | None, dict[str, list[Any]]]:
    """Return the open tab, its galleries (None if not named), and title -> values of its inputs.

    Args:
        link: Query string of the address, which can be anything. Options that do not exist have their
            defaults.
        selected: The chooser of galleries.
        tabs: title -> tab.

    Raises:
        QueryError: A gallery does not exist, or the link is too long.
    """
    try:
        parameters = parse_qs(str(link).lstrip("?"), max_num_fields=200)
    except ValueError as error:
        raise QueryError("This address has too many parameters.") from error
    (wanted,) = parameters.get(TAB, [""])[:1]
    title = next((title for title in tabs if slug(title) == wanted), next(iter(tabs)))
    names = parameters.get(GALLERIES)
    known = [str(value) for _, value in selected.choices]
    for name in names or []:
        if name not in known:
            raise QueryError(f"No gallery is called {name[:40]!r}. There are: {', '.join(known)}.")
    values = [_value(each, parameters.get(name, [None])[0]) for name, each in tabs[title].inputs.items()]
    return title, names, {title: values}


def _value(component: Any, text: str | None) -> Any:
    """Return the value, or update, of a component for its text in an address."""
    if text is None:
        return component.value
    if not hasattr(component, "choices"):
        return text
    if len(component.choices) == 1:  # the tab itself adds the others
        return gr.Dropdown(choices=[*component.choices, (text, text)], value=text)
    return next((value for _, value in component.choices if str(value) == text), component.value)
