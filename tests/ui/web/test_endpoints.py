"""The API of the app: gradio_client, MCP, and the files that the server serves."""

import ast
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent
from PIL import Image

from itr_core.system.files import cache_dir

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
    assert set(hits[0]) == {"rank", "score", "item_id", "caption", "thumbnail"}
    with urlopen(f"{app_url}/{hits[0]['thumbnail']}") as thumbnail:
        assert Image.open(thumbnail).format == "WEBP"


def test_an_image_of_the_gallery_finds_its_own_caption(client: Client, app_url: str, tmp_path: Path) -> None:
    found = client.predict("a house", 1, "picturebook", api_name="/search_text")[0]
    picture = tmp_path / "picture.webp"
    with urlopen(f"{app_url}/{found['thumbnail']}") as thumbnail:
        picture.write_bytes(thumbnail.read())
    hits = client.predict(handle_file(picture), 100, "", api_name="/search_image")
    assert found["item_id"] in {hit["item_id"] for hit in hits[:50]}


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


def test_only_the_two_endpoints_are_public(client: Client) -> None:
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/search_text", "/search_image"}


def test_mcp_client_can_search(client: Client, app_url: str) -> None:
    async def call_tool() -> tuple[set[str], str]:
        async with (
            streamable_http_client(f"{app_url}/gradio_api/mcp/") as (read, write, *_),
            ClientSession(read, write) as mcp,
        ):
            await mcp.initialize()
            tools = {tool.name for tool in (await mcp.list_tools()).tools}
            name = next(tool for tool in tools if tool.endswith("search_text"))
            answer = await mcp.call_tool(name, {"query": "a red car", "k": 2, "gallery": "picturebook"})
            content = answer.content[0]
            assert isinstance(content, TextContent)
            return tools, content.text

    with ThreadPoolExecutor(1) as other:  # the browser of other tests has an event loop in this thread
        tools, answer = other.submit(asyncio.run, call_tool()).result()
    assert len(tools) == 2
    assert len(ast.literal_eval(answer)) == 2


def test_nothing_but_thumbnails_is_served(client: Client, app_url: str) -> None:
    manifests = list(cache_dir("galleries").glob("*/manifest.json"))
    assert manifests
    for path in ("/etc/passwd", __file__, *manifests):
        assert httpx.get(f"{app_url}/gradio_api/file={path}").status_code in (403, 404)
