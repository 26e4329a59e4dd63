"""The app as its pages and programs talk to it: Gradio's queue over HTTP, without a browser."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

RESULTS = 12
"""Number of results of a search."""


class App:
    """A running app.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(keepalive_expiry=2)  # the server ends connections that are idle for 5 seconds
        self.http = httpx.Client(base_url=f"{url}/gradio_api", timeout=120, limits=limits)
        config = httpx.get(f"{url}/config", timeout=120).json()
        self._components = {each["id"]: each["props"] for each in config["components"]}
        self._events = config["dependencies"]

    def search(self, query: str) -> list[tuple[str, float]]:
        """Search through the API; return the ids and scores of the hits."""
        return [(hit["item_id"], hit["score"]) for hit in self.call("search_text", query, RESULTS, "")]

    def call(self, endpoint: str, *values: Any) -> Any:
        """Call an endpoint of the API and return its answer."""
        answer = self.http.post(f"/call/{endpoint}", json={"data": values}).raise_for_status()
        event, kind = answer.json()["event_id"], ""
        with self.http.stream("GET", f"/call/{endpoint}/{event}") as stream:
            for line in stream.iter_lines():
                name, _, value = line.partition(": ")
                kind = value if name == "event" else kind
                if name == "data" and kind == "complete":
                    return json.loads(value)[0]
                if name == "data" and kind == "error":
                    break
        raise RuntimeError(f"No answer of {endpoint} to {values}.")

    @contextmanager
    def session(self) -> Iterator[str]:
        """Open a page and, when the block exits, close it; yield the session's name."""
        name = uuid.uuid4().hex[:10]
        with self.http.stream("GET", f"/heartbeat/{name}", timeout=None):
            yield name

    def event(self, session: str, trigger: tuple[str, str], values: Mapping[str, Any]) -> Iterator[list[Any]]:
        """Trigger an event of a page and yield the values of its outputs, once or several times.

        Args:
            session: Of the page.
            trigger: Element id of a component, and the name of its event.
            values: Values of inputs by their element id; the others keep what the page starts with.
        """
        event = self._event_of(*trigger)
        inputs = [self._components[each] for each in event["inputs"]]
        data = [values.get(each.get("elem_id", ""), each.get("value")) for each in inputs]
        body = {"data": data, "fn_index": event["id"], "session_hash": session}
        self.http.post("/queue/join", json=body).raise_for_status()
        with self.http.stream("GET", "/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") in ("process_generating", "process_completed"):
                    if not message["success"]:
                        raise RuntimeError(f"{trigger}: {message['output']}")
                    yield message["output"]["data"]
                    if message["msg"] == "process_completed":
                        return
        raise RuntimeError(f"{trigger}: the stream ended without an answer.")

    def _event_of(self, element: str, name: str) -> dict[str, Any]:
        for event in self._events:
            for component, trigger in event["targets"]:
                if trigger == name and self._components.get(component, {}).get("elem_id") == element:
                    return event
        raise KeyError(f"{element}.{name}")
