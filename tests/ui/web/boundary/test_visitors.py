"""Headers of proxies are believed from named proxies only."""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.ui.async_calls import run_async
from ui.web.boundary.visitors import ForwardedHeaders, is_this_machine, visitor

SENT = [
    (b"host", b"app"), (b"x-forwarded-for", b"9.9.9.9"), (b"x-forwarded-host", b"public"),
    (b"x-forwarded-proto", b"https"), (b"forwarded", b"for=9.9.9.9"), (b"x-gradio-server", b"http://other"),
]  # fmt: skip


def passed_on(proxies: list[str], client: str) -> Scope:
    """Return the scope that the app behind the middleware gets."""
    got: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(scope)

    async def nothing(*_: Any) -> Any: ...

    scope = {"type": "http", "client": (client, 1234), "scheme": "http", "headers": SENT}
    run_async(ForwardedHeaders(app, proxies)(scope, nothing, nothing))
    return got[0]


@pytest.mark.parametrize("proxies", [[], ["10.0.0.1"], ["10.0.0.0/8"]])
def test_a_stranger_is_not_believed(proxies: list[str]) -> None:
    scope = passed_on(proxies, "127.0.0.1")
    assert scope["headers"] == [(b"host", b"app")]
    assert (visitor(scope), scope["scheme"]) == ("127.0.0.1", "http")
    assert is_this_machine(scope)


@pytest.mark.parametrize("proxies", [["10.0.0.1"], ["10.0.0.0/8"], ["*"]])
def test_a_named_proxy_is_believed(proxies: list[str]) -> None:
    scope = passed_on(proxies, "10.0.0.1")
    assert (b"x-forwarded-host", b"public") in scope["headers"]
    assert (b"x-gradio-server", b"http://other") not in scope["headers"]
    assert (visitor(scope), scope["scheme"]) == ("9.9.9.9", "https")
    assert not is_this_machine(scope)


def test_visitors_are_counted_by_address() -> None:
    assert visitor({"client": ("2001:db8::1", 1)}) == visitor({"client": ("2001:db8::2", 2)})
    assert visitor({"client": ("9.9.9.1", 1)}) != visitor({"client": ("9.9.9.2", 1)})
    assert visitor({"client": None}) == "unknown"
    mapped = [{"client": (f"::ffff:{address}", 1)} for address in ("9.9.9.1", "9.9.9.2", "127.0.0.1")]
    assert [visitor(scope) for scope in mapped] == ["9.9.9.1", "9.9.9.2", "127.0.0.1"]
    assert [is_this_machine(scope) for scope in mapped] == [False, False, True]
