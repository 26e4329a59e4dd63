"""The API of the app: gradio_client, MCP, and the files that the server serves."""

import ast
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent, Tool
from PIL import Image

from itr_core.system.files import cache_dir
from tests.ui.server import HTTP

pytestmark = pytest.mark.ui


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    client = Client(app_url, verbose=False)
    client.predict("a car", 1, "nasty", api_name="/search_text")  # waits until the last gallery has loaded
    return client


def test_search_text(client: Client, app_url: str) -> None:
    hits = client.predict("a red car", 5, "", api_name="/search_text")
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert set(hits[0]) == {
        "rank",
        "score",
        "item_id",
        "caption",
        "thumbnail",
        "true",
        "broken",
        "approximate",
    }
    with urlopen(f"{app_url}/{hits[0]['thumbnail']}") as thumbnail:
        assert Image.open(thumbnail).format == "WEBP"


def test_hits_say_whether_they_are_right_where_it_is_known(client: Client) -> None:
    hits = client.predict("a dog", 80, "picturebook", api_name="/search_text")
    assert {hit["true"] for hit in hits} == {True, False}
    assert all(hit["true"] == (not hit["broken"]) for hit in hits)
    assert any(hit["broken"] == "no dog" for hit in hits)
    for query, gallery in (("two unicorns", "picturebook"), ("two dogs", "nasty")):
        hits = client.predict(query, 3, gallery, api_name="/search_text")
        assert [(hit["true"], hit["broken"]) for hit in hits] == [(None, "")] * 3


def test_an_image_of_the_gallery_finds_its_own_caption(client: Client, app_url: str, tmp_path: Path) -> None:
    found = client.predict("a house", 1, "picturebook", api_name="/search_text")[0]
    picture = tmp_path / "picture.webp"
    with urlopen(f"{app_url}/{found['thumbnail']}") as thumbnail:
        picture.write_bytes(thumbnail.read())
    hits = client.predict(handle_file(picture), 100, "", api_name="/search_image")
    assert found["item_id"] in {hit["item_id"] for hit in hits[:50]}
    assert not any(hit["approximate"] for hit in hits)
    short = client.predict(handle_file(picture), 100, words="-8", api_name="/search_image")
    assert short
    assert all(len(hit["caption"].split()) <= 8 for hit in short)
    with pytest.raises(AppError, match="write 3-8"):
        client.predict(handle_file(picture), words="8-3", api_name="/search_image")
    with pytest.raises(AppError, match="not images"):
        client.predict(handle_file(picture), but="at night", words="3-8", api_name="/search_image")


@pytest.mark.parametrize(
    ("query", "k", "gallery", "message"),
    [("", 5, "", "type a few words"), ("car", 0, "", "1 to 100"), ("car", 5, "picturbook", "'picturebook'")],
)
def test_invalid_requests_get_an_error_that_says_what_to_do(
    client: Client, query: str, k: int, gallery: str, message: str
) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(query, k, gallery, api_name="/search_text")


def test_any_text_is_a_valid_query(client: Client) -> None:
    for query in ("🦓🛹", "مدينة في الليل", "a\0b", "￿" * 500, "'; DROP TABLE--", "x" * 9000):
        assert len(client.predict(query, 3, "", api_name="/search_text")) == 3


def test_what_has_a_default_in_python_has_one_here(client: Client, tmp_path: Path) -> None:
    hits = client.predict("a red car", api_name="/search_text")
    assert hits == client.predict("a red car", 10, "", api_name="/search_text")
    assert len(client.predict("a red car", gallery="nasty", api_name="/search_text")) == 3
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    assert len(client.predict(handle_file(tmp_path / "red.png"), api_name="/search_image")) == 10
    assert client.predict(api_name="/analyze")["gallery"] == "picturebook"


def test_a_program_without_a_client_may_leave_arguments_out(app_url: str) -> None:
    def answer(*values: str) -> str:
        address = f"{app_url}/gradio_api/call/search_text"
        event = HTTP.post(address, json={"data": values}).json()["event_id"]
        return HTTP.get(f"{address}/{event}").text

    assert answer("a red car").count('"rank"') == 10
    assert "type a few words" in answer()


def test_endpoints_are_typed_and_documented(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert {"/search_text", "/search_image", "/explain", "/analyze", "/compare"} <= set(endpoints)
    for name in ("/search_text", "/search_image", "/explain", "/analyze", "/compare"):
        assert endpoints[name]["description"]
        types = [each["python_type"]["type"] for each in endpoints[name]["parameters"]]
        assert "Any" not in types, name
        assert "score: float" in endpoints[name]["returns"][0]["python_type"]["type"] or name == "/analyze"
    k = endpoints["/search_text"]["parameters"][1]
    assert (k["parameter_name"], k["parameter_default"], k["type"]) == ("k", 10, {"type": "integer"})


def test_an_explanation_agrees_with_the_search(client: Client) -> None:
    hits = client.predict("a red car at night", api_name="/search_text")
    found = client.predict("a red  car at night", hits[3]["item_id"], api_name="/explain")
    assert found["rank"] == 4
    assert found["score"] == pytest.approx(hits[3]["score"], abs=1e-5)
    words = ["a", "red", "car", "at", "night"]
    assert [word["word"] for word in found["words"]] == words
    assert [found["query"][word["start"] : word["end"]] for word in found["words"]] == words
    shorter = client.predict("a car at night", hits[3]["item_id"], api_name="/explain")["score"]
    assert found["words"][1]["drop"] == pytest.approx(found["score"] - shorter, abs=1e-5)
    assert {patch["word"] for patch in found["patches"]} == {word["word"] for word in found["words"]}


def test_an_analysis_has_the_measures_of_its_gallery(client: Client) -> None:
    found = client.predict("picturebook", api_name="/analyze")
    assert (found["images"], found["captions"], found["note"]) == (80, 400, "")
    metrics = {each["metric"]: each for each in found["metrics"]}
    recalls = [metrics[f"{way}_r{k}"]["value"] for way in ("t2i", "i2t") for k in (1, 5, 10)]
    assert metrics["rsum"]["value"] == pytest.approx(sum(recalls))
    assert all(each["low"] <= each["value"] <= each["high"] for each in metrics.values())
    assert {"alignment", "uniformity_images"} <= {each["metric"] for each in found["geometry"]}


@pytest.mark.parametrize(
    ("endpoint", "values", "message"),
    [
        ("/explain", ["a car", "no such image", ""], "no image"),
        ("/explain", ["", "0", ""], "no image|empty"),
        ("/explain", [7, "0", ""], "no image|no text"),
        ("/analyze", ["picturbook"], "'picturebook'"),
        ("/analyze", [["a"]], "No gallery"),
        ("/search_text", ["a car", "many", ""], "send the number of results"),
        ("/search_text", ["a car", 2.5, ""], "send the number of results"),
        ("/search_text", ["a car", 5, {"a": 1}], "No gallery"),
        ("/search_text", [None, 5, ""], "type a few words"),
    ],
)
def test_wrong_values_get_an_error_that_names_them(
    client: Client, endpoint: str, values: list[object], message: str
) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(*values, api_name=endpoint)


def test_an_mcp_client_can_search_and_analyse(client: Client, app_url: str) -> None:
    calls: list[tuple[str, dict[str, object]]] = [("search_text", {"query": "a red car"}), ("analyze", {})]

    async def call_tools() -> tuple[dict[str, Tool], list[str]]:
        async with (
            streamable_http_client(f"{app_url}/gradio_api/mcp/") as (read, write, *_),
            ClientSession(read, write) as mcp,
        ):
            await mcp.initialize()
            tools = {tool.name.rpartition("pairscope_")[2]: tool for tool in (await mcp.list_tools()).tools}
            answers = []
            for name, arguments in calls:
                answer = await mcp.call_tool(tools[name].name, arguments)
                assert isinstance(answer.content[0], TextContent)
                answers.append(answer.content[0].text)
            return tools, answers

    with ThreadPoolExecutor(1) as other:  # the browser of other tests has an event loop in this thread
        tools, answers = other.submit(asyncio.run, call_tools()).result()
    assert {"search_text", "search_image", "explain", "analyze", "compare"} <= set(tools)
    assert tools["search_text"].inputSchema["required"] == ["query"]
    assert all(tool.description for tool in tools.values())
    hits, analysis = map(ast.literal_eval, answers)
    assert len(hits) == 10
    assert analysis["model"] == "starter:infonce"


def test_nothing_but_thumbnails_is_served(client: Client, app_url: str) -> None:
    manifests = list(cache_dir("galleries").glob("*/manifest.json"))
    assert manifests
    for path in ("/etc/passwd", __file__, *manifests):
        assert HTTP.get(f"{app_url}/gradio_api/file={path}").status_code in (403, 404)
