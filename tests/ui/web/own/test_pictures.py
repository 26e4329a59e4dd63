"""A visitor's own pictures on disk: their bounds, their gallery, and their end."""

import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.confidence import Confidence, PictureCalibration, Said
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import QueryError
from ui.web.boundary.served import thumbnail_path, thumbnail_url
from ui.web.own import pictures as module
from ui.web.own import visitors
from ui.web.own.pictures import OwnPictures
from ui.web.own.visitors import FullError, Visitors
from ui.web.search.confidence import line_on_photos


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("starter:infonce").fuse()


@pytest.fixture
def own(tmp_path: Path) -> OwnPictures:
    return OwnPictures(tmp_path / "key")


@pytest.fixture
def all_visitors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visitors:
    monkeypatch.setattr(visitors, "_folder", lambda: tmp_path)
    return Visitors()


def png(colour: str = "red") -> bytes:
    file = BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


def add(own: OwnPictures, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        own.add(name, BytesIO(content))


def finished(own: OwnPictures) -> dict[str, object]:
    for _ in range(1200):
        state = own.state()
        if state["state"] != "building":
            return state
        time.sleep(0.1)
    raise AssertionError(state)


def hostile() -> dict[str, bytes]:
    bomb, animated = BytesIO(), BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    return {
        "empty.png": b"", "renamed.jpg": b"just words", "cut.png": png()[:60], "bomb.png": bomb.getvalue(),
        "moving.gif": animated.getvalue(),
    }  # fmt: skip


def test_unusable_pictures_are_named_and_the_others_can_be_searched(
    own: OwnPictures, encoder: DualEncoder
) -> None:
    add(own, {"red.png": png(), "blue.png": png("blue")} | hostile())
    add(own, {"captions.txt": b"red.png,a plain red card\nblue.png,a plain blue card\n"})
    own.build(lambda: encoder, lambda: None)
    state = finished(own)
    assert (state["state"], state["pictures"], state["captions"]) == ("ready", 3, 2)
    assert isinstance(state["skipped"], list)
    reasons = {each["name"]: each["reason"] for each in state["skipped"]}
    assert set(reasons) == {"empty.png", "renamed.jpg", "cut.png", "bomb.png"}
    assert "the limit is 25 megapixels" in reasons["bomb.png"]
    assert not any("/" in reason or "--" in reason for reason in reasons.values()), reasons
    assert own.searcher
    hit = own.searcher.search_text("a plain red card", 1, "captions")[0]
    assert (hit.item_id, hit.caption) == ("red.png", "a plain red card")
    address = thumbnail_url(hit.thumbnail)
    assert address.startswith("thumbnails/key/")
    assert thumbnail_path(address)


def test_pictures_that_look_like_photos_are_counted(own: OwnPictures, encoder: DualEncoder) -> None:
    add(own, {"red.png": png(), "blue.png": png("blue")})
    drawings = np.random.default_rng(0).normal(1, 0.01, (200, encoder.dim))
    confidence = Confidence(Said([]), None, PictureCalibration.of(drawings))
    own.build(lambda: encoder, lambda: confidence)
    assert finished(own)["state"] == "ready"
    assert own.photos == 2


def test_a_few_photos_by_mistake_are_not_told() -> None:
    assert line_on_photos(4, 40) is None
    line = line_on_photos(30, 40)
    assert line is not None
    assert line["title"] == "30 of your 40 pictures look like photos; I only know drawings."


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b"no picture"}, "no images"),
        ({"a.png": b"", "b.png": b"x"}, "a.png"),
        ({"a.png": png(), "captions.txt": b"other.png,a dog\n"}, "other.png"),
    ],
)
def test_without_a_usable_picture_the_reason_names_no_folder(
    files: dict[str, bytes], message: str, own: OwnPictures, encoder: DualEncoder, tmp_path: Path
) -> None:
    add(own, files)
    own.build(lambda: encoder, lambda: None)
    state = finished(own)
    assert state["state"] == "failed"
    assert message in str(state["problem"])
    assert str(tmp_path) not in str(state["problem"])


def test_files_keep_to_the_limits_and_to_their_folder(
    own: OwnPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PICTURES", 4)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    names = ["../../up.png", "C:\\photos\\a.png", "a.png", "..", "fifth.png"]
    add(own, dict.fromkeys(names, b"x") | {"captions.txt": b"x", "large.csv": bytes(2000)})
    stored = sorted(path.name for path in (tmp_path / "key" / "pictures").iterdir())
    assert stored == ["a (2).png", "a.png", "captions.txt", "picture", "up.png"]
    assert [each["name"] for each in own.state()["skipped"]] == ["fifth.png", "large.csv"]
    own.add("é" * 200 + ".png", BytesIO(b""))
    assert "more than 4 pictures" in own.state()["skipped"][-1]["reason"]


def test_nothing_is_left_on_disk_after_a_cancelled_build(
    own: OwnPictures, encoder: DualEncoder, tmp_path: Path
) -> None:
    add(own, {f"{number}.png": png() for number in range(20)})
    own.build(lambda: encoder, lambda: None)
    while own.state()["waiting"]:
        time.sleep(0.01)
    own.remove()
    time.sleep(0.5)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(QueryError, match="Drop all"):
        own.add("a.png", BytesIO(b""))


def test_pictures_are_deleted_some_time_after_the_page_was_closed(
    all_visitors: Visitors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("ui.web.own.visitors.time.monotonic", lambda: now)
    all_visitors.begin("ann").add("a.png", BytesIO(png()))
    all_visitors.leave("ann")
    now += visitors.LEAVING - 1
    all_visitors.sweep()
    assert all_visitors.of("ann")  # such as a page that was reloaded
    now += visitors.LEAVING + 1
    all_visitors.sweep()
    assert all_visitors.of("ann")
    now += visitors.LIFETIME + 1
    all_visitors.sweep()
    assert all_visitors.of("ann") is None
    assert list(tmp_path.iterdir()) == []


def test_visitors_have_one_set_each_and_their_number_is_bounded(
    all_visitors: Visitors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "MOST_VISITORS", 2)
    first = all_visitors.begin("ann")
    assert all_visitors.begin("ann").key != first.key
    all_visitors.begin("bob")
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(FullError):
        all_visitors.begin("eve")
    assert all_visitors.of("eve") is None
    all_visitors.remove("bob")
    all_visitors.begin("eve")


def test_pages_that_begin_at_the_same_time_leave_one_set(all_visitors: Visitors, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        sets = list(pool.map(lambda _: all_visitors.begin("ann"), range(8)))
    assert [folder.name for folder in tmp_path.iterdir()] == [
        own.key for own in sets if own is all_visitors.of("ann")
    ]
