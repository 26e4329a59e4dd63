"""Thumbnails that were moved: to a server, which can be slow, away or wrong, or to another folder."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from itr_core.errors import GalleryError, ImageError
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import Stamp
from itr_core.gallery.thumbnail_store import REST_SECONDS, SECONDS, ThumbnailStore
from tests.galleries import unit, write_gallery
from tests.stores import StoreServer, served_store

N = 6
NAMES = [f"thumbnails/{row}.webp" for row in range(N)]


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """A gallery whose thumbnails are in another folder now."""
    x = unit(np.random.default_rng(0).normal(size=(N, 8)))
    gallery = write_gallery(tmp_path / "gallery", x, x, [str(row) for row in range(N)], [["a"]] * N)
    shutil.move(gallery.path / "thumbnails", tmp_path / "moved")
    return gallery


@pytest.fixture
def server(gallery: Gallery) -> Iterator[StoreServer]:
    with served_store(gallery.path.parent / "moved") as server:
        yield server


class Clock:
    """Stands for `time` where the test says how late it is."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def red(gallery: Gallery, row: int) -> int:
    return int(np.asarray(gallery.decoded_thumbnail(row))[0, 0, 0])


def test_moved_thumbnails_are_read_from_a_server_once_and_from_a_folder(
    gallery: Gallery, server: StoreServer, tmp_path: Path
) -> None:
    with pytest.raises(GalleryError, match=r"thumbnails/\d.webp is missing.*place with --thumbnails"):
        Gallery.open(gallery.path)
    buckets = fsspec.filesystem("memory")  # as s3:// is read by another package
    buckets.put(str(tmp_path / "moved"), "/bucket/moved", recursive=True)
    addresses = (server.prefix, f"{server.prefix}/", "memory://bucket/moved")
    for prefix in (*addresses, str(tmp_path / "moved"), f"file://{tmp_path}/moved"):
        opened = Gallery.open(gallery.path, thumbnails_at=prefix)
        for _ in range(2):
            assert [red(opened, row) for row in range(N)] == pytest.approx(
                [8 * row for row in range(N)], abs=4
            )
    assert sorted(server.requests) == sorted(2 * [f"/bucket/{row}.webp" for row in range(N)])


def test_files_that_the_manifest_does_not_list_are_refused(
    gallery: Gallery, server: StoreServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = Gallery.open(gallery.path, thumbnails_at=server.prefix)
    server.content = b"another file"
    with pytest.raises(ImageError, match=r"thumbnails/0\.webp is away: .* has another file") as caught:
        opened.decoded_thumbnail(0)
    assert "127.0.0.1" not in str(caught.value)  # visitors see it
    assert server.prefix in caplog.text
    server.content = None
    assert red(opened, 0) == pytest.approx(0, abs=4)
    (tmp_path / "moved" / "1.webp").unlink()
    with pytest.raises(ImageError, match="has no such file"):
        opened.decoded_thumbnail(1)
    assert red(opened, 2) == pytest.approx(16, abs=4)  # one file that is missing is no reason to rest


def test_a_store_that_is_away_is_not_waited_for_again_at_once(
    gallery: Gallery, server: StoreServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    monkeypatch.setattr("itr_core.gallery.thumbnail_store.time", clock)
    opened = Gallery.open(gallery.path, thumbnails_at=server.prefix)
    assert red(opened, 0) == pytest.approx(0, abs=4)
    server.delay = SECONDS + 2
    for row in range(1, N):
        with pytest.raises(ImageError, match="is away: the store of the thumbnails d"):
            opened.decoded_thumbnail(row)
    assert len(server.requests) == 2
    assert [record.levelno for record in caplog.records if record.name.endswith("store")] == [logging.WARNING]
    assert red(opened, 0) == pytest.approx(0, abs=4)  # kept in memory
    server.delay, clock.now = 0, REST_SECONDS + 1
    assert red(opened, 1) == pytest.approx(8, abs=4)
    server.status = 500
    with pytest.raises(ImageError, match="is away: the store of the thumbnails failed"):
        opened.decoded_thumbnail(2)


def test_a_wrong_prefix_is_told_before_a_thumbnail_is_needed(
    gallery: Gallery, server: StoreServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def check(prefix: str) -> None:
        ThumbnailStore(prefix, gallery.manifest.files).check()

    check(server.prefix)
    check(str(tmp_path / "moved"))
    (tmp_path / "moved" / "0.webp").unlink()
    check(server.prefix)  # one that is missing is no wrong prefix
    for wrong in (f"{server.prefix}/thumbnails", str(tmp_path), str(tmp_path / "nosuch")):
        with pytest.raises(GalleryError, match=rf"{wrong} is not where .* no such file.*0\.webp must follow"):
            check(wrong)
    server.status = 403
    with pytest.raises(GalleryError, match="refuses to give this file"):
        check(server.prefix)
    server.status, server.content = 200, b"<html>Sign in</html>"
    with pytest.raises(GalleryError, match="has another file"):
        check(server.prefix)
    assert not caplog.records
    server.status = 503
    check(server.prefix)  # it may come back
    assert f"{server.prefix} gives no thumbnails now" in caplog.text


def test_memory_for_thumbnails_is_limited(
    gallery: Gallery, server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [gallery.manifest.files[name].size for name in NAMES]
    monkeypatch.setattr("itr_core.gallery.thumbnail_store.CACHE_BYTES", sum(sizes[-2:]))
    opened = Gallery.open(gallery.path, thumbnails_at=server.prefix)
    for row in [*range(N), N - 1, N - 2, 0]:
        opened.decoded_thumbnail(row)
    assert server.requests == [f"/bucket/{row}.webp" for row in [*range(N), 0]]


@pytest.mark.parametrize(
    "name",
    ["thumbnails/../secret.webp", "thumbnails//etc/x.webp", "/etc/passwd", "thumbnails/x::file:///etc/passwd",
     "thumbnails/%2e%2e/x.webp", "thumbnails/a?b.webp", "thumbnails/.webp", "items.parquet"],
)  # fmt: skip
def test_names_of_a_manifest_do_not_lead_out_of_the_prefix(name: str, server: StoreServer) -> None:
    store = ThumbnailStore(server.prefix, {name: Stamp(1, "0" * 64)})
    with pytest.raises(ImageError, match="is no thumbnail of this gallery"):
        store.read(name)
    assert not server.requests


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("https://ann:secret@host/x", "must be https://HOST/PATH"),
        ("https://host/x?token=secret", "must be https://HOST/PATH"),
        ("https:///x", "must be https://HOST/PATH"),
        ("nosuch://host/x", "s3://BUCKET/PATH"),
    ],
)
def test_prefixes_that_are_none(gallery: Gallery, prefix: str, message: str) -> None:
    with pytest.raises(GalleryError, match=message) as caught:
        Gallery.open(gallery.path, thumbnails_at=prefix)
    assert "secret" not in str(caught.value)
