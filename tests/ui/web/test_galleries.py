"""Sets of pictures that are opened with several models."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.loading import starters
from itr_core.errors import QueryError
from itr_core.evaluation.human_judgments import read_expert_grades
from itr_core.gallery import Gallery, is_gallery
from itr_core.pairs import load_pairs
from ui.web.boundary.served import thumbnail_url
from ui.web.galleries import Galleries
from ui.web.picture_sets import choices

SPEC = "picturebook:test@6"
SECOND = "picturebook (cusa)"


@pytest.fixture(scope="module")
def galleries() -> Galleries:
    """Serve Picturebook with two models and wait for the first."""
    opened = Galleries([SPEC], ["starter:infonce", "starter:cusa"])
    opened.searcher("picturebook", timeout=120)
    return opened


def test_a_model_is_opened_on_first_use(galleries: Galleries) -> None:
    assert galleries.names == ["picturebook"]
    assert galleries.all_names == ["picturebook", SECOND]
    assert galleries._encoders.keys() == {"starter:infonce"}
    assert galleries.progress(SECOND) is not None
    with pytest.raises(QueryError, match="still being built"):
        galleries.searcher(SECOND, timeout=0)
    assert galleries.searcher(SECOND, timeout=120).encoder.spec == "starter:cusa"
    assert galleries.progress(SECOND) is None
    assert len(galleries.analysis(SECOND).images) == 6


def test_models_of_a_set_share_its_thumbnails(galleries: Galleries) -> None:
    first, second = (galleries.searcher(name, timeout=120).gallery for name in galleries.all_names)
    assert first.path != second.path
    item = first.items["image_id"].iloc[0]
    assert thumbnail_url(first.thumbnail(item)) == thumbnail_url(second.thumbnail(item)) != ""


def test_the_confidence_of_a_model_is_calibrated_after_it_is_opened(galleries: Galleries) -> None:
    galleries.searcher(SECOND, timeout=120)
    end = time.monotonic() + 60
    while galleries.confidence(SECOND) is None:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_gallery_is_found_by_set_and_model(galleries: Galleries) -> None:
    assert galleries.sets == ["picturebook"]
    assert galleries.models("picturebook") == ["infonce", "cusa"]
    assert galleries.key("picturebook") == galleries.key("picturebook", "infonce") == "picturebook"
    assert galleries.key("picturebook", "cusa") == SECOND
    choice = galleries.choice(SECOND)
    assert (choice.set, choice.model, choice.synthetic) == ("picturebook", "cusa", True)
    with pytest.raises(QueryError, match=r"no model 'cussa'.*'cusa'"):
        galleries.key("picturebook", "cussa")
    with pytest.raises(QueryError, match="No set of pictures is called 'photos'"):
        galleries.key("photos")


def test_picturebook_is_offered_with_all_starters_and_photos_with_the_first(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8)).save(photos / "0.png")
    offered = choices([SPEC, str(photos)], [])
    assert [each.spec for each in offered.values() if each.synthetic] == [
        "starter:infonce", *(spec for spec in starters() if spec != "starter:infonce")
    ]  # fmt: skip
    assert [(name, each.model) for name, each in offered.items() if not each.synthetic] == [
        ("photos", "infonce")
    ]


def test_the_name_of_a_folder_is_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "2024.08 Italy").mkdir()
    (tmp_path / "pairs.parquet").touch()
    folder, table = str(tmp_path / "2024.08 Italy"), str(tmp_path / "pairs.parquet")
    assert list(choices([folder, f"folder:{folder}", table], [])) == [
        "2024.08 Italy", "2024.08 Italy (2)", "pairs"
    ]  # fmt: skip


def test_a_gallery_folder_has_the_model_of_its_manifest(tmp_path: Path) -> None:
    Gallery.build(load_pairs(SPEC), load_encoder("picturebook-vit/none"), tmp_path / "drawings")
    folder = str(tmp_path / "drawings")
    for models, spec in (
        ([], None),
        (["starter:cusa", "picturebook-vit/none"], "picturebook-vit/none"),
        (["starter:cusa", "starter:infonce"], "starter:cusa"),
    ):
        (choice,) = choices([folder], models).values()
        assert choice.spec == spec
        assert choice.model == (spec or "picturebook-vit/none").removeprefix("starter:")
        assert choice.synthetic


def test_sets_and_models_of_equal_names_are_numbered(tmp_path: Path) -> None:
    names = choices([SPEC, SPEC], ["starter:cusa", "local-dir:/elsewhere/cusa"])
    assert list(names) == [
        "picturebook", "picturebook (cusa (2))", "picturebook (2)", "picturebook (2) (cusa (2))"
    ]  # fmt: skip


def test_an_updated_gallery_is_opened_again_while_the_old_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.web.galleries.LOOK_SECONDS", 0)
    photos, encoder = tmp_path / "photos", load_encoder("starter:infonce", device="cpu")
    photos.mkdir()
    Image.new("RGB", (64, 64), "red").save(photos / "red.png")
    gallery = Gallery.build(load_pairs(str(photos)), encoder, tmp_path / "gallery")
    galleries = Galleries([str(gallery.path)], None)
    assert len(galleries.searcher("gallery", timeout=120).gallery) == 1
    Image.new("RGB", (64, 64), "blue").save(photos / "blue.png")
    Gallery.build(load_pairs(str(photos)), encoder, gallery.path, earlier=gallery)
    end = time.monotonic() + 60
    while len(galleries.searcher("gallery", timeout=0).gallery) == 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert len(galleries.analysis("gallery").images) == 2
    assert thumbnail_url(galleries.searcher("gallery").gallery.thumbnail("blue.png"))
    (gallery.path / "manifest.json").write_text("damaged")  # the gallery that is open stays in use
    assert len(galleries.searcher("gallery", timeout=0).gallery) == 2


def test_a_folder_that_has_changed_is_not_encoded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "holiday"
    photos.mkdir()
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(photos / f"{colour}.png")
    Galleries([str(photos)], None).searcher("holiday", timeout=120)
    Image.new("RGB", (64, 64), "green").save(photos / "green.png")
    encoded: list[int] = []
    original = DualEncoder.encode_images

    def record(self: DualEncoder, images: Iterable[Any], **options: Any) -> Any:
        rows = list(images)
        encoded.append(len(rows))
        return original(self, rows, **options)

    monkeypatch.setattr(DualEncoder, "encode_images", record)
    assert len(Galleries([str(photos)], None).searcher("holiday", timeout=120).gallery) == 3
    assert encoded == [1]


def test_the_demo_gallery_is_neither_drawn_nor_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path))
    monkeypatch.setattr(Gallery, "build", lambda *_, **__: pytest.fail("the gallery was built"))
    for _ in range(2):  # unpacked, then found in the cache
        opened = Galleries(["picturebook:gallery"], "starter:infonce")
        assert len(opened.searcher("picturebook", timeout=120).gallery) == 2000
    (unpacked,) = tmp_path.glob("galleries/*")
    assert is_gallery(unpacked)


@pytest.mark.parametrize("picture", ["red.png", "other.png"])
def test_expert_judgments_of_other_pictures_are_named_in_the_log(
    picture: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos, file = tmp_path / "photos", tmp_path / "ExpertAnnotations.txt"
    photos.mkdir()
    Image.new("RGB", (64, 64), "red").save(photos / "red.png")
    (photos / "red.txt").write_text("a red square")
    file.write_text(f"{picture}\t{picture}#0\t4\t4\t4")
    galleries = Galleries([str(photos)], None, read_expert_grades(file))
    galleries.check_experts(file)
    checked = threading.Event()
    galleries._tasks.put(checked.set)
    assert checked.wait(120)
    logged = [each for each in caplog.messages if "ExpertAnnotations.txt" in each]
    assert len(logged) == (picture != "red.png")
    assert all("judges no picture and caption of photos" in each and "--judgments" in each for each in logged)
