"""COCO's captions layout and Karpathy's, small and real."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itr_core.errors import SourceError
from itr_core.pairs import Skipped, load_pairs
from tests.support import Paint


def karpathy(split: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "filename": f"{number}.jpg",
        "split": split,
        "sentences": [{"raw": f"caption {number}", "tokens": ["caption"]}, {"raw": "  "}],
        **more,
    }


@pytest.fixture
def flickr(paint: Paint, tmp_path: Path) -> Path:
    """Write a Karpathy file without COCO ids next to its images."""
    splits = ["train", "restval", "val", "test", "train"]
    for number in range(5):
        paint(f"images/{number}.jpg")
    path = tmp_path / "dataset_flickr.json"
    path.write_text(json.dumps({"images": [karpathy(split, n) for n, split in enumerate(splits)]}))
    return path


def test_splits_and_restval(flickr: Path) -> None:
    ids = {
        split: load_pairs(f"karpathy:{flickr}:{split}").image_ids
        for split in ("train", "restval", "val", "test")
    }
    assert ids == {
        "train": ["0.jpg", "1.jpg", "4.jpg"],
        "restval": ["1.jpg"],
        "val": ["2.jpg"],
        "test": ["3.jpg"],
    }
    whole = load_pairs(f"karpathy:{flickr}")
    assert len(whole) == 5
    assert whole.captions[2] == ["caption 2"]
    assert whole.fingerprint == load_pairs(str(flickr)).fingerprint
    assert load_pairs(f"{flickr}:test").image_ids == ["3.jpg"]
    assert load_pairs(f"karpathy:{flickr}:train", limit=2).image_ids == ["0.jpg", "1.jpg"]


def test_an_unknown_split_suggests_the_nearest(flickr: Path) -> None:
    with pytest.raises(SourceError, match=r"unknown split 'tests'. Did you mean 'test'"):
        load_pairs(f"karpathy:{flickr}:tests")
    with pytest.raises(SourceError, match=r"unknown split 'dev'. Known: restval, test, train, val"):
        load_pairs(f"karpathy:{flickr}:dev")


@pytest.mark.parametrize(
    "place",
    [
        "val2014/COCO_val2014_000000000042.jpg",
        "COCO_val2014_000000000042.jpg",
        "images/val2014/COCO_val2014_000000000042.jpg",
        "000000000042.jpg",
        "images/000000000042.jpg",
        "train2017/000000000042.jpg",
        "../images/000000000042.jpg",
        "../val2017/000000000042.jpg",
    ],
)
def test_coco_images_are_found_under_their_names_of_2014_and_2017(
    place: str, paint: Paint, tmp_path: Path
) -> None:
    paint(f"annotations/{place}")
    path = tmp_path / "annotations" / "dataset_coco.json"
    image = karpathy("test", 42, cocoid=42, filepath="val2014") | {
        "filename": "COCO_val2014_000000000042.jpg"
    }
    path.write_text(json.dumps({"images": [image]}))
    assert load_pairs(f"karpathy:{path}").image_ids == ["42"]


def test_image_root_and_images_that_are_not_there(flickr: Path, paint: Paint, tmp_path: Path) -> None:
    paint("elsewhere/3.jpg", "blue")
    pairs = load_pairs(f"karpathy:{flickr}:test", image_root=tmp_path / "elsewhere")
    assert np.asarray(pairs[0].image)[0, 0, 2] > 200
    pairs = load_pairs(f"karpathy:{flickr}", image_root=tmp_path / "elsewhere")
    assert pairs.skipped[0] == Skipped("0.jpg", "no such file")
    assert len(pairs.skipped) == 4
    with pytest.raises(
        SourceError, match=r"none of its 1 images was found .* Pass their folder as image_root"
    ):
        load_pairs(f"karpathy:{flickr}:val", image_root=tmp_path / "elsewhere")


def test_names_that_lead_out_of_the_folder_are_not_followed(paint: Paint, tmp_path: Path) -> None:
    secret = paint("secret.jpg")
    path = tmp_path / "set" / "dataset.json"
    path.parent.mkdir()
    names = [str(secret), "../secret.jpg"]
    path.write_text(
        json.dumps({"images": [karpathy("test", n) | {"filename": name} for n, name in enumerate(names)]})
    )
    with pytest.raises(SourceError, match="none of its 2 images"):
        load_pairs(f"karpathy:{path}")


def coco_file(path: Path, ids: list[int]) -> Path:
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in ids]
    notes = [
        {"image_id": number, "caption": f"{word} {number} "} for word in ("a", "the") for number in ids[:2]
    ]
    path.write_text(json.dumps({"images": images, "annotations": notes}))
    return path


@pytest.mark.parametrize("scheme", ["coco:", "karpathy:", ""])
def test_captions_file(scheme: str, paint: Paint, tmp_path: Path) -> None:
    for number in (7, 8, 9):
        paint(f"val2017/{number:012d}.jpg")
    path = coco_file(tmp_path / "captions_val2017.json", [9, 7, 8])
    pairs = load_pairs(f"{scheme}{path}")
    assert pairs.image_ids == ["9", "7", "8"]
    assert pairs.captions == [["a 9 ", "the 9 "], ["a 7 ", "the 7 "], []]
    assert pairs.uncaptioned == ["8"]
    assert pairs.source.startswith("coco:")
    with pytest.raises(SourceError, match="have no splits; remove ':val'"):
        load_pairs(f"coco:{path}:val")


def test_duplicate_ids_are_named(paint: Paint, tmp_path: Path) -> None:
    paint("000000000007.jpg")
    with pytest.raises(SourceError, match=r"1 image ids occur more than once \('7'\)"):
        load_pairs(f"coco:{coco_file(tmp_path / 'captions.json', [7, 7, 7])}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[1, 2]", "neither COCO's captions layout"),
        ('{"images": [{"file": "a.jpg"}]}', "neither COCO's captions layout .* KeyError 'filename'"),
        ('{"images": [{"id": "x", "file_name": "a.jpg"}], "annotations": []}', "neither COCO's"),
        ('{"images": []}', "lists no images"),
    ],
)
def test_files_in_other_layouts_are_errors(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        load_pairs(f"karpathy:{path}")


def test_a_missing_file(tmp_path: Path) -> None:
    for spec in (f"coco:{tmp_path}/gone.json", f"{tmp_path}/gone.json:test"):
        with pytest.raises(SourceError, match=r"gone\.json: cannot be read \(No such file"):
            load_pairs(spec)


def test_real_coco_is_the_same_in_both_layouts(data_dir: Path) -> None:
    sample = data_dir / "coco_sample"
    by_karpathy = load_pairs(f"karpathy:{sample / 'dataset_coco.json'}:test")
    by_coco = load_pairs(f"coco:{sample / 'captions_val2017.json'}")
    assert len(by_coco) == 24
    assert all(len(captions) == 5 for captions in by_coco.captions)
    assert by_karpathy.captions == by_coco.captions
    assert by_karpathy.fingerprint == by_coco.fingerprint
    assert all(max(pair.image.size) <= 320 for pair in by_coco)
    folder = load_pairs(f"folder:{sample}")
    assert len(folder) == 24
    assert folder.image(0).tobytes() == by_coco.image(0).tobytes()
