"""Requests of the Compare page, and its handlers without a browser."""

import re
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from itr_core.picturebook.scene_code import encode
from itr_core.picturebook.source import scene_of_id
from ui.web.compare.endpoint import CompareEndpoint
from ui.web.compare.files import ranking_routes
from ui.web.compare.handlers import CompareHandlers
from ui.web.compare.request import parse_request
from ui.web.galleries import Galleries

KNOWN = ["a", "b", "c", "d", "e", "f", "g"]


def default(chosen: str) -> list[str]:
    return [chosen or "a", "b"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("?m=a", "1 models are selected; choose 2 to 6"),
        ("?m=a&m=a", "1 models are selected"),
        ("?" + "&".join(f"m={name}" for name in KNOWN), "7 models are selected"),
        ("?m=a&m=nowhere", "'nowhere'"),
        ("?k=0", "from 1 to 48"),
        ("?k=%C2%B2", "from 1 to 48"),
        ("?k=99999999999", "from 1 to 48"),
        ("?blind=<script>", "up to 6 digits"),
        ("?blind=1&vote=2", "there is no such column"),
        ("?blind=1&vote=-1", "there is no such column"),
        ("?" + "&".join(f"x{number}=1" for number in range(99)), "too many parameters"),
    ],
)
def test_an_address_with_a_wrong_parameter_is_refused(address: str, message: str) -> None:
    with pytest.raises(QueryError, match=re.escape(message)):
        parse_request(address, KNOWN, default)


@pytest.mark.parametrize(
    "address",
    [
        "?q=red+car&g=b&m=b&m=a", "?item=x%2F1&g=a&m=a&m=b&m=c", "?picture=own&g=a&m=a&m=b",
        "?q=%F0%9F%90%95&g=a&m=a&m=b&k=3", "?scene=x&g=a&m=a&m=b",
        "?q=a&g=a&m=a&m=b&blind=12&vote=none", "?q=a&g=a&m=a&m=b&blind=12&vote=1",
    ],
)  # fmt: skip
def test_an_address_is_its_own_link(address: str) -> None:
    assert parse_request(address, KNOWN, default).link() == address


def test_the_gallery_chosen_for_all_pages_is_compared() -> None:
    assert parse_request("?q=a&m=a&m=b&g=c", KNOWN, default).names == ["c", "b"]
    assert parse_request("?q=a&m=a&m=c&g=c", KNOWN, default).names == ["a", "c"]
    assert parse_request("?q=a&g=c", KNOWN, default).names == ["c", "b"]


def test_a_vote_outside_of_a_blind_comparison_has_no_effect() -> None:
    request = parse_request("?q=a&vote=1", KNOWN, default)
    assert (request.vote, request.hidden, request.columns) == ("", False, ["a", "b"])


def test_the_order_of_blind_columns_depends_on_the_seed_only() -> None:
    orders = [parse_request(f"?q=a&blind={seed}", KNOWN, default).columns for seed in range(40)]
    assert orders == [parse_request(f"?q=b&blind={seed}", KNOWN, default).columns for seed in range(40)]
    assert 8 < orders.count(["a", "b"]) < 32


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> CompareHandlers:
    """Galleries of the same 24 pictures by two models, and one of other pictures."""
    folder = tmp_path_factory.mktemp("galleries")
    pictures = load_pairs("picturebook:gallery@24")
    Gallery.build(pictures, load_encoder("starter:infonce"), folder / "first")
    Gallery.build(pictures, load_encoder("starter:small"), folder / "second")
    Gallery.build(pictures.select(range(6)), load_encoder("starter:infonce"), folder / "others")
    galleries = Galleries([str(folder / name) for name in ("first", "second", "others")], None)
    for name in galleries.names:
        galleries.searcher(name, timeout=120)
    return CompareHandlers(galleries, ())


def _items(html: str) -> list[list[str]]:
    """Return the pictures of each column."""
    columns = html.split('class="column"')[1:]
    return [re.findall(r'<li data-item="([^"]+)"', column) for column in columns]


def test_all_columns_are_the_searches_of_their_models(handlers: CompareHandlers) -> None:
    answer = handlers.show("?q=two+dogs+in+a+meadow&k=5&m=first&m=second", None)
    expected = [
        [hit.item_id for hit in handlers.galleries.searcher(name).search_text("two dogs in a meadow", 5)]
        for name in ("first", "second")
    ]
    assert _items(answer.results) == expected
    assert expected[0] != expected[1]
    assert answer.address["link"] == "?q=two+dogs+in+a+meadow&g=first&m=first&m=second&k=5"
    assert "No noise band known" in answer.status


def test_marks_are_the_truth_of_the_pictures(handlers: CompareHandlers) -> None:
    html = handlers.show("?q=a+dog&k=24&m=first&m=second", None).results
    truth = handlers.galleries.analysis("first").query_truth
    assert truth
    query = truth.of_query("a dog")
    assert query
    row = handlers.galleries.searcher("first").gallery.row
    for column in html.split('class="column"')[1:]:
        marks = re.findall(r'<li data-item="([^"]+)".*?(is-right|is-wrong)', column, re.DOTALL)
        assert len(marks) == 24
        assert all((mark == "is-right") == query.true[row(item)] for item, mark in marks)


@pytest.mark.parametrize("of", ["item", "scene"])
def test_a_picture_finds_right_ones_if_they_show_its_kinds_of_things(
    handlers: CompareHandlers, of: str
) -> None:
    gallery = handlers.galleries.searcher("first").gallery
    kinds = {item: {thing.kind for thing in scene_of_id(item).things} for item in gallery.items["image_id"]}
    query = next(a for a in kinds if any(kinds[a] <= kinds[b] for b in kinds if b != a))
    scene = scene_of_id(query)
    address = f"?item={query}" if of == "item" else f"?{urlencode({'scene': encode(scene)})}"
    answer = handlers.show(f"{address}&k=24&m=first&m=second", None)
    expected = {item for item in kinds if kinds[query] <= kinds[item]} - ({query} if of == "item" else set())
    for column in answer.results.split('class="column"')[1:]:
        marks = re.findall(r'<li data-item="([^"]+)".*?(is-right|is-wrong)', column, re.DOTALL)
        assert {item for item, mark in marks if mark == "is-right"} == expected
        assert f"<b>{len(expected)} of {len(expected)}</b> right pictures found" in column
    assert "every kind of thing" in answer.status


def test_lines_join_equal_pictures(handlers: CompareHandlers) -> None:
    html = handlers.show("?q=a+house&k=6&m=first&m=second", None).results
    first, second = _items(html)
    lines = re.findall(r'<path data-item="([^"]+)"[^>]* d="M0 ([\d.]+)C.* 100 ([\d.]+)"', html)
    assert {item for item, *_ in lines} == set(first) & set(second)
    for item, start, end in lines:
        assert (first.index(item) + 0.5, second.index(item) + 0.5) == (float(start), float(end))


def test_a_blind_comparison_tells_neither_names_nor_truth_before_the_vote(handlers: CompareHandlers) -> None:
    blind = handlers.show("?q=a+dog&m=first&m=second&blind=7", None)
    assert "is-right" not in blind.results
    assert not re.search(r">\s*(first|second)\s*<", blind.results)
    assert not re.search("right pictures|of the first", blind.results)
    voted = handlers.show("?q=a+dog&m=first&m=second&blind=7&vote=0", None)
    assert _items(voted.results) == _items(blind.results)
    assert "is-right" in voted.results
    assert (
        voted.address["voted"]
        == parse_request(voted.address["link"], ["first", "second"], default).columns[0]
    )
    *_, (_, telling, measures) = handlers.measure("?q=a+dog&m=first&m=second&blind=7")
    assert "data-query" in telling
    assert measures == ""


def test_a_picture_of_the_gallery_is_a_query(handlers: CompareHandlers) -> None:
    item = handlers.galleries.searcher("first").gallery.items["image_id"].iloc[3]
    answer = handlers.show(f"?item={item}&m=first&m=second", None)
    assert all(len(column) == 12 and item not in column for column in _items(answer.results))
    assert answer.address["picture"].startswith("thumbnails/first/")


def test_the_picture_of_a_scene_is_a_query(handlers: CompareHandlers) -> None:
    item = handlers.galleries.searcher("first").gallery.items["image_id"].iloc[3]
    link = f"?scene={encode(scene_of_id(item))}&g=first&m=first&m=second"
    answer = handlers.show(link, None)
    assert answer.address["link"] == link
    assert all(column[0] == item for column in _items(answer.results))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("?m=first&m=second&scene=nothing", "scene"),
        ("?m=first&m=others&q=a", "different pictures"),
        ("?m=first&m=second&item=nowhere", "no image"),
        ("?m=first&m=second&picture=own", "Choose it again"),
        ("?m=first&m=nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_compared_gets_a_note(handlers: CompareHandlers, address: str, message: str) -> None:
    answer = handlers.show(address, None)
    assert message in answer.status
    assert answer.results == ""
    assert answer.address["error"]


def test_hostile_queries_are_text(handlers: CompareHandlers) -> None:
    answer = handlers.show("?m=first&m=second&q=%3Cscript%3Ealert(1)%3C/script%3E%00", None)
    assert "<script" not in answer.results + answer.status
    assert _items(answer.results)[0]
    assert len(_items(handlers.show(f"?m=first&m=second&q={'x' * 10_000}", None).results)) == 2


def test_measures_have_paired_differences_and_queries_that_changed(handlers: CompareHandlers) -> None:
    *_, (progress, telling, measures) = handlers.measure("?q=a&m=first&m=second")
    assert progress == ""
    assert "data-query" in telling
    assert "mAP@R" in measures
    assert "rSum" in measures
    compared = [handlers.galleries.analysis(name).compared() for name in ("first", "second")]
    difference = compared[1].minus(compared[0])["rsum"].difference
    assert f"{difference:+.1f}".replace("-", "−") in measures
    assert "rankings/ranks.csv?m=first&amp;m=second" in measures


def test_measures_do_not_wait_for_the_noise_band(
    handlers: CompareHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_: object) -> None:
        raise AssertionError("the models of the noise band are waited for")

    monkeypatch.setattr("ui.web.compare.handlers.seed_pair", wait)
    *_, (_, _, measures) = handlers.measure("?q=a&m=first&m=second")
    assert "rSum" in measures


def test_an_error_of_the_models_of_the_noise_band_is_shown(
    handlers: CompareHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise QueryError("The gallery 'seed' could not be opened.")

    monkeypatch.setattr("ui.web.compare.handlers.seed_pair", fail)
    [shown] = handlers.measure_noise("?q=a&m=first&m=second")
    assert "could not be opened" in shown


def test_the_noise_band_comes_from_two_models_that_differ_in_their_seed(handlers: CompareHandlers) -> None:
    address = "?q=a+dog&m=first&m=second"
    seeds = CompareHandlers(handlers.galleries, ("starter:infonce", "starter:small"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ui.web.compare.handlers.noise_band", lambda *_: None)
        assert "is being measured" in seeds.show(address, None).status
    list(seeds.measure(address))
    *progress, last = seeds.measure_noise(address)
    assert last == ""
    assert all("seeds differ" in each for each in progress)
    assert "is being measured" not in seeds.show(address, None).status
    assert "two seeds" in seeds.show(address, None).results
    assert "Noise band: on 97 % of queries" in seeds.show(address, None).status
    assert seeds.show(address, None).address["noise"]
    missing = CompareHandlers(handlers.galleries, ("starter:infonce", "starter:not-there"))
    assert "two seeds" not in missing.show(address, None).results
    assert "No noise band known" in missing.show(address, None).status


def test_the_endpoint_has_the_searches_and_the_truth(handlers: CompareHandlers) -> None:
    endpoint = CompareEndpoint(handlers.galleries, (), ["first", "second"])
    found = endpoint.compare("a dog", 6)
    truth = handlers.galleries.analysis("first").query_truth
    query = truth.of_query("a dog") if truth else None
    assert query
    assert found["right"] == query.total
    assert found["models"] == endpoint.compare("a dog", 6, ["first", "second"])["models"]
    for model in found["models"]:
        hits = handlers.galleries.searcher(model["gallery"]).search_text("a dog", 6)
        assert [place["item_id"] for place in model["places"]] == [hit.item_id for hit in hits]
        assert model["found"] == sum(bool(place["right"]) for place in model["places"])
    first, second = found["models"]
    ranks = {place["item_id"]: place["rank"] for place in first["places"]}
    for place in second["places"]:
        assert place["only_here"] == (place["item_id"] not in ranks)
        assert place["rank_before"] == ranks.get(place["item_id"], place["rank_before"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("", 5), "query is empty"), (("a", 0), "from 1 to 48"), (("a", 5, ["first"]), "choose 2 to 6")],
)
def test_the_endpoint_refuses_what_it_cannot_compare(
    handlers: CompareHandlers, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(gr.Error, match=message):
        CompareEndpoint(handlers.galleries, (), ["first", "second"]).compare(*arguments)


def get(handlers: CompareHandlers, path: str) -> Any:
    return TestClient(Starlette(routes=ranking_routes(handlers.galleries))).get(path)


def test_ranks_are_downloaded_as_files(handlers: CompareHandlers) -> None:
    list(handlers.measure("?q=a&m=first&m=second"))
    table = get(handlers, "/rankings/ranks.csv?m=first&m=second")
    assert len(table.text.splitlines()) == 1 + 24 * 5
    run = get(handlers, "/rankings/run.trec?m=second")
    assert len(run.text.splitlines()) == 24 * 5 * 20
    judgments = get(handlers, "/rankings/judgments.trec?m=first").text.splitlines()
    assert len(judgments) == handlers.galleries.analysis("first").compared().rights.sum()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rankings/ranks.csv", 400), ("/rankings/ranks.csv?m=nowhere", 400), ("/rankings/other.txt", 404),
        ("/rankings/ranks.csv?m=first&m=others", 400),
    ],
)  # fmt: skip
def test_files_that_do_not_exist_are_refused(handlers: CompareHandlers, path: str, status: int) -> None:
    assert get(handlers, path).status_code == status
