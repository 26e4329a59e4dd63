"""What is exported is what comes back, and a failed export leaves nothing."""

import os
from pathlib import Path
from typing import get_args

import pytest

from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from itr_core.pairs.export import Layout, export
from tests.support import Paint

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
WRITTEN = {"parquet": "pairs.parquet", "karpathy": "dataset.json", "folder": ""}


@pytest.fixture(scope="module")
def drawn() -> PairSet:
    return load_pairs("picturebook:test", limit=6)


@pytest.fixture
def photos(paint: Paint, tmp_path: Path) -> PairSet:
    for name in ("photos/a.jpg", "photos/more/b.png"):
        paint(name)
    notes = "a.jpg,one, and more\na.jpg,two\nmore/b.png,drei Bücher\n"
    (tmp_path / "photos" / "captions.txt").write_text(notes, encoding="utf-8")
    return load_pairs(f"folder:{tmp_path / 'photos'}")


def renamed(pairs: PairSet, ids: list[str]) -> PairSet:
    rows = pairs.dataset.select(range(len(ids))).remove_columns("image_id").add_column("image_id", ids)
    return PairSet(rows, source="renamed", decode=pairs.decode)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["drawn", "photos"])
def test_round_trip(name: str, layout: Layout, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pairs: PairSet = request.getfixturevalue(name)
    assert export(pairs, layout, tmp_path / "out" / "x") == []
    assert os.listdir(tmp_path / "out") == ["x"]
    back = load_pairs(str(tmp_path / "out" / "x" / WRITTEN[layout]))
    assert back.image_ids == pairs.image_ids
    assert back.captions == pairs.captions
    assert not back.skipped
    if layout != "karpathy":
        assert back.labels == pairs.labels
    for index in range(len(pairs)):
        assert back.image(index).tobytes() == pairs.image(index).tobytes()


def test_karpathy_has_the_split_it_was_given(drawn: PairSet, tmp_path: Path) -> None:
    export(drawn, "karpathy", tmp_path / "x", split="val")
    assert len(load_pairs(f"karpathy:{tmp_path / 'x' / 'dataset.json'}:val")) == 6
    with pytest.raises(SourceError, match="test"):
        load_pairs(f"karpathy:{tmp_path / 'x' / 'dataset.json'}:test")


def test_coco_ids_come_back(drawn: PairSet, tmp_path: Path) -> None:
    export(renamed(drawn, ["397133", "37777"]), "karpathy", tmp_path / "x")
    assert load_pairs(str(tmp_path / "x" / "dataset.json")).image_ids == ["397133", "37777"]


def test_files_are_copied_not_encoded_anew(photos: PairSet, tmp_path: Path) -> None:
    export(photos, "folder", tmp_path / "x")
    assert (tmp_path / "x" / "a.jpg").read_bytes() == (tmp_path / "photos" / "a.jpg").read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_cannot_be_decoded_is_left_out_and_told(photos: PairSet, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "photos" / "a.jpg").write_bytes(b"not a picture")
    told: list[tuple[int, int]] = []
    skipped = export(photos, layout, tmp_path / "x", progress=lambda done, total: told.append((done, total)))
    assert [name for name, _ in skipped] == ["a.jpg"]
    assert load_pairs(str(tmp_path / "x" / WRITTEN[layout])).image_ids == ["more/b.png"]
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_failed_export_leaves_nothing(photos: PairSet, layout: Layout, tmp_path: Path) -> None:
    for name in photos.image_ids:
        (tmp_path / "photos" / name).unlink()
    with pytest.raises(SourceError, match="none of its 2 images"):
        export(photos, layout, tmp_path / "out" / "x")
    assert os.listdir(tmp_path / "out") == []


def test_nothing_is_overwritten(drawn: PairSet, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(SourceError, match="already exists"):
        export(drawn, "folder", tmp_path / "x")


def test_unknown_layout(drawn: PairSet, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Did you mean 'parquet'"):
        export(drawn, "parket", tmp_path / "x")  # type: ignore[arg-type]


ODD_IDS = [
    "../../etc/a", "/abs", ".hidden", "https://x.org/a?b=1", "397133", "ü b.JPG",
    "a#1.png", "100%20.png", "a?", "a:", "A_", "x" * 5_000, "x" * 5_000 + "y", "a.png", "a.png/b", "..",
    "7.0", "no\nline", "e\u0301.png", "\u00e9.png", "000003-a_.png", "007",
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_odd_ids_come_back(layout: Layout, tmp_path: Path) -> None:
    pairs = renamed(load_pairs("picturebook:test", limit=len(ODD_IDS)), ODD_IDS)
    assert export(pairs, layout, tmp_path / "out" / "x") == []
    back = load_pairs(str(tmp_path / "out" / "x" / WRITTEN[layout]))
    assert sorted(back.image_ids) == sorted(ODD_IDS)
    assert back.notes == []
    assert {path.parts[0] for path in map(Path, files_in(tmp_path))} == {"out"}
    for index, image_id in enumerate(back.image_ids):
        original = ODD_IDS.index(image_id)
        assert back.captions[index] == pairs.captions[original]
        assert back.image(index).tobytes() == pairs.image(original).tobytes()


def test_no_id_leads_out_of_the_folder(drawn: PairSet, tmp_path: Path) -> None:
    export(renamed(drawn, ODD_IDS[:6]), "folder", tmp_path / "out" / "x")
    images = {"etc/a.png", "abs.png", "hidden.png", "https_/x.org/a_b=1.png", "397133.png", "ü b.JPG"}
    assert files_in(tmp_path) == {f"out/x/{name}" for name in images | {"metadata.jsonl"}}


def test_ids_that_would_be_one_file(drawn: PairSet, tmp_path: Path) -> None:
    export(renamed(drawn, ["a?", "a:", "A_"]), "folder", tmp_path / "x")
    assert files_in(tmp_path / "x") == {"a_.png", "000001-a_.png", "000002-A_.png", "metadata.jsonl"}
