"""Verdicts belong to a visitor or to a session, can be taken back and exported, and have limits."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gradio.context import LocalContext
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from analysis.gallery_analysis import GalleryAnalysis
from analysis.misses.verdicts import Miss
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from itr_core.gallery.build import VERDICTS
from itr_core.pairs import load_pairs
from ui.web.analysis.panels import verdicts
from ui.web.analysis.panels.miss_cards import cards
from ui.web.analysis.panels.verdicts import ROUTES, SETTINGS, VisitorCookie, judge, saved
from ui.web.app import _is_private
from ui.web.boundary.rates import TokenBuckets
from ui.web.boundary.served import serve_gallery


@pytest.fixture(scope="module")
def built(configs: Path, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    path = tmp_path_factory.mktemp("galleries") / "small"
    return Gallery.build(load_pairs("picturebook:test@6"), load_encoder("tiny/none"), path)


@pytest.fixture
def analysis(built: Gallery, monkeypatch: pytest.MonkeyPatch) -> Iterator[GalleryAnalysis]:
    monkeypatch.setattr(verdicts, "_buckets", TokenBuckets(verdicts.RATE))
    serve_gallery("small & co", built)
    token = LocalContext.request.set(None)
    yield GalleryAnalysis(built)
    LocalContext.request.reset(token)
    (built.path / VERDICTS).unlink(missing_ok=True)


@pytest.fixture
def miss(analysis: GalleryAnalysis) -> Miss:
    row = analysis.misses().iloc[0]
    return Miss(row["direction"], row["query"], row["found"])


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse("")


APP = Starlette(routes=[Route("/analysis", page), *ROUTES], middleware=[Middleware(VisitorCookie)])


class Visitor:
    """A browser with its cookies."""

    def __init__(self, cookies: bool = True) -> None:
        self.http = TestClient(APP, base_url="https://app")
        if cookies:
            self.http.get("/analysis")

    def does(self, handler: Callable[[], Any]) -> Any:
        """Call what handles an event of this visitor."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        request: Any = SimpleNamespace(headers={"cookie": cookie}, session_hash="tab")
        LocalContext.request.set(request)
        return handler()

    def exported(self) -> list[str]:
        lines = self.http.get("/verdicts/small%20%26%20co.jsonl").text.splitlines()
        return [json.loads(line)["verdict"] for line in lines]


def test_a_visitor_sees_only_own_verdicts(analysis: GalleryAnalysis, miss: Miss) -> None:
    one, two, without_cookies = Visitor(), Visitor(), Visitor(cookies=False)
    one.does(lambda: judge(analysis, miss, "unclear"))
    two.does(lambda: judge(analysis, miss, "true error"))
    assert one.does(lambda: saved(analysis)[1]) == {miss: "unclear"}
    assert two.does(lambda: saved(analysis)[1]) == {miss: "true error"}
    assert without_cookies.does(lambda: saved(analysis)[1]) == {}
    assert one.exported() == ["unclear"]
    assert without_cookies.exported() == []
    text = (analysis.gallery.path / VERDICTS).read_text()
    assert not any(value in text for value in one.http.cookies.values())


def test_verdicts_without_an_owner_are_shown_to_everybody(analysis: GalleryAnalysis, miss: Miss) -> None:
    """Such verdicts are of version 0.2 and before, or given from Python."""
    judge(analysis, miss, "unclear")
    visitor = Visitor()
    assert visitor.does(lambda: saved(analysis)[1]) == {miss: "unclear"}
    visitor.does(lambda: judge(analysis, miss, "true error"))
    assert visitor.does(lambda: saved(analysis)[1]) == {miss: "true error"}


def test_the_same_verdict_again_takes_it_back(analysis: GalleryAnalysis, miss: Miss) -> None:
    visitor = Visitor()
    for verdict in ("unclear", "true error", "true error"):
        visitor.does(partial(judge, analysis, miss, verdict))
    tally, given = visitor.does(lambda: saved(analysis))
    assert given == {}
    assert "No verdicts yet" in tally


def test_the_members_of_a_session_share_verdicts(analysis: GalleryAnalysis, miss: Miss) -> None:
    teacher, pupil, stranger = Visitor(), Visitor(), Visitor()
    for each in (teacher, pupil):
        answer = each.http.get("/verdicts/session?name=%20Class%20 7ü ", follow_redirects=False)
        assert answer.status_code == 303
    teacher.does(lambda: judge(analysis, miss, "unclear"))
    assert pupil.does(lambda: saved(analysis)[1]) == {miss: "unclear"}
    assert "the session <b>Class 7ü</b>" in pupil.does(lambda: saved(analysis)[0])
    assert pupil.exported() == ["unclear"]
    assert stranger.does(lambda: saved(analysis)[1]) == {}
    pupil.http.get("/verdicts/session", follow_redirects=False)
    assert pupil.does(lambda: saved(analysis)[1]) == {}


@pytest.mark.parametrize("name", ["abc", "x" * 41, "a  b"])
def test_a_name_that_is_easily_guessed_or_too_long_opens_no_session(name: str) -> None:
    answer = Visitor().http.get("/verdicts/session", params={"name": name}, follow_redirects=False)
    assert answer.status_code == 400
    assert "4 to 40" in answer.text


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x=y", "a;Path=/;b=c", "<b>\"'</b>", "${1}{{2}}"])
def test_a_name_stays_text(analysis: GalleryAnalysis, name: str) -> None:
    visitor = Visitor()
    visitor.http.get("/verdicts/session", params={"name": name}, follow_redirects=False)
    assert set(visitor.http.cookies.keys()) == {"pairscope_visitor", "pairscope_session"}
    assert "<b><b>" not in visitor.does(lambda: saved(analysis)[0])


@pytest.mark.parametrize("cookie", ["pairscope_visitor", "a=b; =", "\0", "pairscope_session=" + "x" * 9000])
def test_forged_cookies_do_no_harm(analysis: GalleryAnalysis, cookie: str) -> None:
    visitor = Visitor(cookies=False)
    request: Any = SimpleNamespace(headers={"cookie": cookie}, session_hash="tab")
    LocalContext.request.set(request)
    assert saved(analysis)[1] == {}
    assert visitor.http.get("/verdicts/nothing.jsonl").status_code == 404


def test_many_verdicts_at_once_are_refused(analysis: GalleryAnalysis, miss: Miss) -> None:
    visitor = Visitor()
    for _ in range(verdicts.RATE.burst):
        visitor.does(lambda: judge(analysis, miss, "unclear"))
    with pytest.raises(QueryError, match="Wait 1 s"):
        visitor.does(lambda: judge(analysis, miss, "unclear"))
    Visitor().does(lambda: judge(analysis, miss, "unclear"))


def test_an_app_can_take_no_verdicts(
    analysis: GalleryAnalysis, miss: Miss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SETTINGS, "on", False)
    with pytest.raises(QueryError, match="takes no verdicts"):
        judge(analysis, miss, "unclear")
    assert saved(analysis) == ("", {})
    assert "<button" not in cards(analysis, "small", analysis.misses().head(1), {})


def test_an_app_that_others_can_reach_takes_no_verdicts_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert _is_private("127.0.0.1", ())
    assert not _is_private("0.0.0.0", ())
    assert not _is_private("127.0.0.1", ["127.0.0.1"])
    monkeypatch.setenv("SPACE_ID", "somebody/demo")
    assert not _is_private("127.0.0.1", ())


def test_a_gallery_that_is_built_again_keeps_its_verdicts(
    analysis: GalleryAnalysis, miss: Miss, tmp_path: Path
) -> None:
    judge(analysis, miss, "unclear")
    encoder = load_encoder("tiny/none")
    again = Gallery.build(load_pairs("picturebook:test@6"), encoder, analysis.gallery.path)
    assert again.manifest.source_fingerprint == analysis.gallery.manifest.source_fingerprint
    assert saved(GalleryAnalysis(again))[1] == {miss: "unclear"}
    (again.path / VERDICTS).unlink()
    (again.path / VERDICTS).symlink_to(tmp_path)
    Gallery.build(load_pairs("picturebook:test@6"), encoder, again.path)
    assert not (again.path / VERDICTS).exists()
