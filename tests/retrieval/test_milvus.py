"""Indexes in Milvus find what an exact search finds: on a server, on that of Milvus Lite, and in a file."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.retrieval.approximate import ApproximateIndex, recall
from itr_core.retrieval.filters import Among, Filters
from itr_core.retrieval.index import ExactIndex, exact_rows
from itr_core.retrieval.milvus import MilvusIndex
from itr_core.retrieval.milvus_connection import TOKEN, MilvusConnection
from itr_core.retrieval.opened_indexes import OpenedIndexes
from itr_core.retrieval.saved_index import distinct_captions, engine_of, open_index, save_indexes
from tests.galleries import write_gallery
from tests.retrieval.gap import pairs

pymilvus = pytest.importorskip("pymilvus", reason="pip install 'pairscope[milvus]'")
lite = pytest.importorskip("milvus_lite.server_manager", reason="pip install 'pairscope[milvus]'")

N = 400
IMAGES, CAPTIONS = pairs(N, 16)
LABELS = ["red", 'the "best"', "back\\slash", "café, 'x' {y}"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("itr_core.retrieval.milvus._BATCH", 150)
    return tmp_path / "cache" / "indexes"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lite:
    """`milvus-lite server`, which asks for no token."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._command = ["-m", "milvus_lite", "server", "--data-dir", str(folder), "--port", str(self.port)]

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, *self._command], stdout=subprocess.DEVNULL)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.1)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Standalone:
    """A server of Milvus that asks for a token; a machine can run one at a time."""

    def __init__(self, folder: Path) -> None:
        milvus = pytest.importorskip("milvus", reason="pip install milvus")
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        config = milvus.MilvusServerConfig(data_dir=str(folder), proxy_port=port)
        config.set("authorization_enabled", True)
        self._server = milvus.MilvusServer(config)

    def start(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves a socket open if a port is in use
            self._server.start()
        self._server.config.resolve = lambda: None  # if it is started again, on the same ports

    def kill(self) -> None:
        self._server.server_proc.kill()
        self._server.stop()


Server = Lite | Standalone


@pytest.fixture(scope="module", params=[Lite, pytest.param(Standalone, marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server: Server = request.param(tmp_path_factory.mktemp("milvus"))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(server, Standalone):
            patch.setenv(TOKEN, "root:Milvus")  # the password of a new server
        yield server
    server.kill()


def gallery_of(folder: Path, images: np.ndarray = IMAGES) -> Gallery:
    """A gallery in which pairs of captions are equal, and image i has label i modulo 5, or none."""
    captions = [[f"caption {row // 2}{' of some words' * (row // 2 % 3)}"] for row in range(N)]
    labels = [LABELS[row % 5 : row % 5 + 1] for row in range(N)]
    return write_gallery(folder, images, CAPTIONS, [f"id {row}" for row in range(N)], captions, labels=labels)


def in_milvus(gallery: Gallery, rows: np.ndarray | None = None) -> MilvusIndex:
    index = open_index(gallery, "images" if rows is None else "captions", rows)
    assert isinstance(index, MilvusIndex)
    return index


def test_a_flat_index_finds_the_same_as_an_exact_search(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itr_core.retrieval.index._FEW", 0)  # filters, too, are Milvus's
    gallery, seen = gallery_of(tmp_path / "gallery"), list[tuple[int, int]]()
    made = save_indexes(gallery, lambda *each: seen.append(each), engine=f"milvus:{server.uri}")
    assert {of: each.recall for of, each in made.items()} == {"images": 1, "captions": 1}
    assert seen[-1] == (N + N // 2, N + N // 2)
    assert engine_of(gallery) == f"milvus:{server.uri}"
    texts = np.arange(0, N, 2)
    for index, exact, queries in (
        (in_milvus(gallery), ExactIndex(IMAGES), CAPTIONS[:20]),
        (in_milvus(gallery, texts), ExactIndex(CAPTIONS, texts), IMAGES[:20]),
    ):
        assert not index.approximate
        for k in (1, 10, 1_000):
            for got, expected in zip(index.search(queries, k), exact.search(queries, k), strict=True):
                np.testing.assert_array_equal(got, expected)
    filters = Filters(gallery.column("labels"), list(distinct_captions(gallery.column("captions"))))
    for label in LABELS:
        among = filters.among("images", [label])
        assert among is not None
        _, rows = in_milvus(gallery).search(CAPTIONS[:20], 10, among)
        np.testing.assert_array_equal(rows, ExactIndex(IMAGES).search(CAPTIONS[:20], 10, among)[1])
    for words in ((2, 2), (3, None), (None, 7), (5, 5)):
        among = filters.among("captions", words=words)
        for got, expected in zip(
            in_milvus(gallery, texts).search(IMAGES[:20], 10, among),
            ExactIndex(CAPTIONS, texts).search(IMAGES[:20], 10, among),
            strict=True,
        ):
            np.testing.assert_array_equal(got, expected)
    nothing = Among(np.zeros(0, np.int64), ("red", LABELS[1]))
    assert in_milvus(gallery).search(CAPTIONS[:2], 10, nothing)[1].shape == (2, 0)
    assert isinstance(open_index(gallery, "images", exact=True), ExactIndex)


def test_a_graph_finds_99_percent_with_texts_as_queries(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itr_core.retrieval.milvus.FEWEST", N)
    images, captions = IMAGES[:, ::-1], CAPTIONS[:, ::-1]  # other embeddings than those of other tests
    gallery = gallery_of(tmp_path / "gallery", images)
    made = save_indexes(gallery, engine=f"milvus:{server.uri}")
    index = in_milvus(gallery)
    assert index.approximate
    assert made["images"] == index.settings
    assert recall(index, captions, exact_rows(images, None, captions, 10)) >= 0.99


def killed(folder: Path, uri: str) -> None:
    def kill(done: int, total: int) -> None:
        if done == 300:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.modules["itr_core.retrieval.milvus"]._BATCH = 150  # type: ignore[attr-defined]  # as the fixture does
    save_indexes(Gallery.open(folder), kill, engine=f"milvus:{uri}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_insertion_goes_on_where_it_was(tmp_path: Path, server: Server) -> None:
    gallery = gallery_of(tmp_path / "gallery", IMAGES[::-1])
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(gallery.path, server.uri))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    opened = OpenedIndexes(gallery, np.arange(0, N, 2), exact=False)
    assert isinstance(opened.index("images"), ExactIndex)  # until the collection is complete
    assert not opened.outdated()
    assert engine_of(gallery) == f"milvus:{server.uri}"
    seen: list[int] = []
    save_indexes(gallery, lambda done, total: seen.append(done), engine=f"milvus:{server.uri}")
    assert seen[0] == N  # the first 300 were there
    assert opened.outdated()
    opened.renew()
    assert isinstance(opened.index("images"), MilvusIndex)
    _, rows = in_milvus(gallery).search(CAPTIONS, 10)
    np.testing.assert_array_equal(rows, ExactIndex(IMAGES[::-1]).search(CAPTIONS, 10)[1])


def test_a_collection_is_used_again_and_deleted_when_the_gallery_has_other_embeddings(
    tmp_path: Path, server: Server
) -> None:
    gallery = gallery_of(tmp_path / "gallery", IMAGES**3)
    save_indexes(gallery, engine=f"milvus:{server.uri}")
    client = pymilvus.MilvusClient(server.uri, token=os.environ.get(TOKEN, ""))
    before = set(client.list_collections())
    seen: list[int] = []
    save_indexes(gallery, lambda done, total: seen.append(done), engine=f"milvus:{server.uri}")
    assert seen == [N, N + N // 2]  # nothing is inserted
    other = gallery_of(tmp_path / "gallery", IMAGES**5)
    save_indexes(other, engine=f"milvus:{server.uri}")
    after = set(client.list_collections())
    assert len(before - after) == len(after - before) == 1
    client.drop_collection(in_milvus(other).collection)
    with pytest.raises(GalleryError, match=r"does not answer.*--exact"):
        in_milvus(other).search(CAPTIONS[:1], 3)


def test_an_index_in_a_file_stays_if_milvus_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("itr_core.retrieval.saved_index.FEWEST", N)
    gallery = gallery_of(tmp_path / "gallery")
    save_indexes(gallery)
    with pytest.raises(GalleryError, match="does not answer"):
        save_indexes(gallery, engine=f"milvus:http://127.0.0.1:{free_port()}")
    assert isinstance(open_index(gallery, "images"), ApproximateIndex)


def test_searches_name_the_server_that_is_away_and_the_remedy(tmp_path: Path, server: Server) -> None:
    gallery = gallery_of(tmp_path / "gallery", IMAGES**7)
    save_indexes(gallery, engine=f"milvus:{server.uri}")
    index = in_milvus(gallery)
    expected = ExactIndex(IMAGES**7).search(CAPTIONS[:1], 3)[1]
    np.testing.assert_array_equal(index.search(CAPTIONS[:1], 3)[1], expected)
    server.kill()
    for opened in (in_milvus(gallery), index):  # not connected, and connected
        start = time.monotonic()
        with pytest.raises(GalleryError, match=f"Milvus at {server.uri} does not answer.*--exact") as caught:
            opened.search(CAPTIONS[:1], 3)
        assert time.monotonic() - start < 20  # 3 s for the connection, 5 s for the search, on an idle machine
        assert server.uri not in caught.value.__notes__[0]  # what visitors of the app are told
        start = time.monotonic()
        with pytest.raises(GalleryError, match="does not answer"):
            opened.search(CAPTIONS[:1], 3)
        assert time.monotonic() - start < 1
    server.start()
    time.sleep(5)  # while Milvus is not asked
    np.testing.assert_array_equal(index.search(CAPTIONS[:1], 3)[1], expected)


@pytest.mark.slow
@pytest.mark.parametrize("server", [Standalone], indirect=True)
@pytest.mark.parametrize("token", ["", "root:wrong"])
def test_a_server_that_refuses_the_token_is_not_taken_for_one_that_is_away(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(GalleryError, match=f"{server.uri} refuses access .*auth.*{TOKEN}") as caught:
        save_indexes(gallery_of(tmp_path / "gallery"), engine=f"milvus:{server.uri}")
    assert "wrong" not in str(caught.value)


def test_a_file_of_milvus_lite_is_searched_and_tells_who_else_opens_it(tmp_path: Path) -> None:
    gallery, file = gallery_of(tmp_path / "gallery"), tmp_path / "milvus.db"
    other = Lite(file)
    other.start()
    try:
        with pytest.raises(GalleryError, match="one process at a time"):
            save_indexes(gallery, engine=f"milvus:{file}")
    finally:
        other.kill()
    save_indexes(gallery, engine=f"milvus:{file}")
    _, rows = in_milvus(gallery).search(CAPTIONS[:5], 10)
    np.testing.assert_array_equal(rows, ExactIndex(IMAGES).search(CAPTIONS[:5], 10)[1])
    lite.server_manager_instance.release_server(str(file))


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("milvus", "There is no index engine 'milvus'"),
        ("milvus:localhost:19530", "milvus:http://HOST"),
        ("milvus:https://ann:secret@host:19530", TOKEN),
        ("milvus:https://host:19530?token=secret", TOKEN),
        ("milvus:/nosuch/index.db", "there is no folder /nosuch"),
    ],
)
def test_engines_that_are_none(tmp_path: Path, engine: str, message: str) -> None:
    with pytest.raises(GalleryError, match=message) as caught:
        save_indexes(gallery_of(tmp_path / "gallery"), engine=engine)
    assert "secret" not in str(caught.value)


def test_the_token_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Client:
        def __init__(self, uri: str, **kwargs: Any) -> None:
            asked.update(kwargs, uri=uri)

        def list_collections(self, timeout: float) -> list[str]:
            return []

    monkeypatch.setattr(pymilvus, "MilvusClient", Client)
    monkeypatch.setenv(TOKEN, "ann:secret")
    assert MilvusConnection("https://host").call("list_collections", seconds=1) == []
    assert (asked["uri"], asked["token"]) == ("https://host", "ann:secret")


def test_without_the_client_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(GalleryError, match=r"pip install 'pairscope\[milvus\]'"):
        MilvusConnection("http://host").call("list_collections", seconds=1)
