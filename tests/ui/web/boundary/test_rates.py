"""A visitor who asks too often waits; the others do not."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.types import Message

from tests.ui.async_calls import run_async
from ui.web.boundary import rates
from ui.web.boundary.rates import Rate, Rates, TokenBuckets


def test_a_bucket_allows_a_burst_and_then_a_rate() -> None:
    buckets = TokenBuckets(Rate(per_second=2, burst=3))
    assert [buckets.wait("a", now=0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("b", now=0) == 0
    assert buckets.wait("a", now=0.25) == pytest.approx(0.25)
    assert buckets.wait("a", now=0.5) == 0
    assert [buckets.wait("a", now=100) for _ in range(4)] == [0, 0, 0, 0.5]


@pytest.mark.usefixtures("restless_threads")
def test_requests_at_the_same_time_share_a_bucket() -> None:
    buckets = TokenBuckets(Rate(per_second=1, burst=30))
    with ThreadPoolExecutor(8) as threads:
        waits = [*threads.map(lambda _: buckets.wait("a", now=0), range(10_000))]
    assert waits.count(0) == 30


def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_KEYS", 2)
    buckets = TokenBuckets(Rate(per_second=1, burst=1))
    for key in "abab":
        buckets.wait(key, now=0)
    buckets.wait("c", now=0)
    assert buckets.wait("b", now=0) > 0
    assert buckets.wait("a", now=0) == 0  # forgotten


async def answer(app: Rates, path: str, address: str, session: str | None) -> tuple[int, dict[str, str]]:
    """Return the status (200 if the request is passed on) and the headers of the answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "client": (address, 1)}
    scope["pairscope.json"] = {"session_hash": session}
    await app(scope, receive, send)
    if not sent:
        return 200, {}
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert "Too many requests" in json.loads(sent[1]["body"])["detail"]
    return int(sent[0]["status"]), headers


async def passed(*_: object) -> None: ...


def allowed(app: Rates, count: int, address: str, path: str = "/join", session: str | None = None) -> int:
    """Return how many of `count` requests at once are allowed; {} in `session` is their number."""
    names = [session and session.format(number) for number in range(count)]

    async def answers() -> list[int]:
        return [(await answer(app, path, address, name))[0] for name in names]

    return run_async(answers()).count(200)


def test_a_session_an_address_and_uploads_have_limits() -> None:
    app = Rates(passed)
    assert 60 <= allowed(app, 80, "9.9.9.1", session="one") < 70
    assert 30 <= allowed(app, 50, "9.9.9.2") < 40
    assert 60 <= allowed(app, 80, "9.9.9.3", path="/gradio_api/upload") < 70
    assert 600 <= allowed(app, 700, "9.9.9.4", session="{}") < 690
    assert allowed(app, 700, "127.0.0.1", session="{}") == 700  # the operator's own machine


def test_the_answer_says_when_to_try_again() -> None:
    app = Rates(passed)
    allowed(app, 40, "9.9.9.1")
    assert run_async(answer(app, "/join", "9.9.9.1", None)) == (429, {"retry-after": "1"} | ANY_LENGTH)


ANY_LENGTH = {"content-length": "49", "content-type": "application/json"}


def test_no_visitor_waits_for_another_one() -> None:
    app = Rates(passed)
    allowed(app, 100, "9.9.9.1")
    assert allowed(app, 1, "9.9.9.2") == 1
    assert allowed(app, 1, "9.9.9.1", session="honest page") == 1


def test_addresses_of_one_ipv6_network_are_one_visitor() -> None:
    app = Rates(passed)
    assert allowed(app, 50, "2001:db8::1") < 40
    assert allowed(app, 1, "2001:db8::2") == 0
    assert allowed(app, 1, "2001:db8:0:1::1") == 1


def test_the_limits_can_be_changed_and_switched_off() -> None:
    assert 60 <= allowed(Rates(passed, 2), 90, "9.9.9.1") < 80
    assert allowed(Rates(passed, 0), 500, "9.9.9.1") == 500
