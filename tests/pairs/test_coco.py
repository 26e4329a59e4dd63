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
        SourceError, match=r"none of its 1 images was found .* Pass their folder with --image-root"
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


def test_an_image_that_is_listed_twice_is_read_once(paint: Paint, tmp_path: Path) -> None:
    paint("000000000007.jpg")
    paint("other.jpg")
    path = coco_file(tmp_path / "captions.json", [7, 7])
    content = json.loads(path.read_text())
    content["annotations"] = [*content["annotations"][:1], {"image_id": 8, "caption": "of nothing"}, {}, None]
    content["images"] += [{"id": "7", "file_name": "other.jpg"}, None, {"id": 9}]
    path.write_text(json.dumps(content))
    pairs = load_pairs(f"coco:{path}")
    assert (pairs.image_ids, pairs.captions) == (["7"], [["a 7 "]])
    reasons = [reason for _, reason in pairs.skipped]
    assert reasons[:2] == ["no image_id in this entry"] * 2
    assert "the id 7 already belongs to 000000000007.jpg" in reasons
    assert "no file name in this entry" in reasons
    assert "Captions of images that the file does not list, which are not read: 1 (image 8)." in pairs.notes


ODD_IDS: dict[str, tuple[object, object]] = {
    "numbers": (7, 7),
    "texts": ("seven", "seven"),
    "a float": (7.0, 7),
    "a text in the annotations": (7, "7"),
    "a text in the images": ("7", 7),
    "a text of a float": (7, "7.0"),
    "a text with zeros": (7, "000007"),
}


@pytest.mark.parametrize("case", ODD_IDS)
def test_ids_are_compared_as_text(case: str, paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    image_id, annotated = ODD_IDS[case]
    content = {
        "images": [{"id": image_id, "file_name": "a.jpg"}],
        "annotations": [{"image_id": annotated, "caption": "one"}],
    }
    (tmp_path / "captions.json").write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    assert load_pairs(f"coco:{tmp_path}/captions.json").captions == [["one"]]


def test_karpathy_entries_without_split_raw_sentences_or_frame(paint: Paint, tmp_path: Path) -> None:
    for name in "abc":
        paint(f"{name}.jpg")
    entries = [
        {"filename": "a.jpg", "sentences": [{"tokens": ["one", "dog"]}], "cocoid": "12"},
        {"filename": "b.jpg", "sentences": ["two \ud83d"]},
        {"filename": "c.jpg"},
    ]
    (tmp_path / "list.json").write_text(json.dumps(entries))
    pairs = load_pairs(f"karpathy:{tmp_path}/list.json")
    assert pairs.image_ids == ["12", "b.jpg", "c.jpg"]
    assert pairs.captions == [["one dog"], ["two \ufffd"], []]
    assert pairs.notes[0].startswith("Captions with invalid characters, which were replaced: 1 (")
    with pytest.raises(SourceError, match=r"the entries have no split; remove ':test'"):
        load_pairs(f"karpathy:{tmp_path}/list.json:test")


def test_an_id_of_two_files_gets_numbers(paint: Paint, tmp_path: Path) -> None:
    for name in "ab":
        paint(f"{name}.jpg")
    entries = [karpathy("test", 0, cocoid=5) | {"filename": f"{name}.jpg"} for name in "ab"]
    (tmp_path / "two.json").write_text(json.dumps(entries))
    pairs = load_pairs(f"karpathy:{tmp_path}/two.json")
    assert pairs.image_ids == ["5", "5 (2)"]
    assert "Different pictures with one id" in pairs.notes[0]


def test_captions_that_belong_to_no_image_are_refused(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": "x", "caption": "one"}],
    }
    (tmp_path / "captions.json").write_text(json.dumps(content))
    with pytest.raises(SourceError, match=r"no caption belongs to an image: no image has the id 'x'"):
        load_pairs(f"coco:{tmp_path}/captions.json")


def test_captions_of_annotations_under_another_name(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "captions": ["one"]}],
    }
    (tmp_path / "captions.json").write_text(json.dumps(content))
    assert load_pairs(f"coco:{tmp_path}/captions.json").captions == [["one"]]


def test_one_entry_for_each_caption_is_one_image(paint: Paint, tmp_path: Path) -> None:
    for name in "ab":
        paint(f"{name}.jpg")
    entries = [karpathy("test", 0) | {"filename": name, "sentences": [text]} for name, text in
               (("a.jpg", "one"), ("b.jpg", "two"), ("a.jpg", "three"))]  # fmt: skip
    (tmp_path / "rows.json").write_text(json.dumps(entries))
    pairs = load_pairs(f"karpathy:{tmp_path}/rows.json:test")
    assert dict(zip(pairs.image_ids, pairs.captions, strict=True)) == {
        "a.jpg": ["one", "three"],
        "b.jpg": ["two"],
    }
    (tmp_path / "rows.json").write_text(json.dumps([*entries, entries[0] | {"split": "val"}]))
    skipped = load_pairs(f"karpathy:{tmp_path}/rows.json").skipped
    assert [reason for _, reason in skipped] == ["a.jpg is already in the split test"]


@pytest.mark.parametrize(
    "content",
    [
        {"images": [{"file_name": "a.jpg", "caption": "one", "split": "test"}], "info": {}},
        {"annotations": [{"image": "a.jpg", "caption": "one", "split": "test"}], "licenses": []},
        [{"image": "a.jpg", "captions": ["one"], "split": "test"}],
    ],
)
def test_captions_beside_file_names_are_rows(content: object, paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    (tmp_path / "rows.json").write_text(json.dumps(content))
    for spec in (f"{tmp_path}/rows.json", f"karpathy:{tmp_path}/rows.json:test"):
        assert load_pairs(spec).captions == [["one"]]
    with pytest.raises(SourceError, match=r"unknown split 'val'. Known: test"):
        load_pairs(f"karpathy:{tmp_path}/rows.json:val")


def test_names_are_taken_from_addresses(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    images = [{"id": "x", "coco_url": "http://example.org/photos/a.jpg"}]
    content = {"images": images, "annotations": [{"image_id": "x", "caption": "one"}]}
    (tmp_path / "captions.json").write_text(json.dumps(content))
    assert load_pairs(f"coco:{tmp_path}/captions.json").captions == [["one"]]


def test_a_file_without_captions_says_what_it_has(paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}]
    content = {"images": images, "annotations": [{"id": 1, "image_id": 1, "category_id": 3}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(
        SourceError, match=r"no captions; the entries have id, image_id, category_id.*captions_\*"
    ):
        load_pairs(f"coco:{tmp_path}/instances.json")
    assert load_pairs(f"coco:{tmp_path}/instances.json", columns={"captions": []}).captions == [[]]
    with pytest.raises(SourceError, match="no columns to choose"):
        load_pairs(f"coco:{tmp_path}/instances.json", columns={"captions": "name"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[1, 2]", "no rows with an image"),
        ("[" * 100_000, "nested too deeply|not a JSON"),
        ('{"images": [{"file": "a.jpg"}], "annotations": []}', "neither COCO's .* no image has a file name"),
        (
            '{"images": [{"id": "x", "file_name": "a.jpg"}], "annotations": []}',
            "no captions; the entries have id",
        ),
        ('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": 7}', "no captions"),
        ('{"images": []}', "lists no images"),
        (
            '{"annotations": [{"image_id": 1, "caption": "a"}]}',
            "no column of file names .* among image_id, cap",
        ),
        ('[{"image_id": 1, "caption": "a"}]', "no column of file names .* among image_id, caption"),
        ('{"data": [{"image_id": 1}], "info": {}}', "no column of file names .* among image_id"),
        ('{"a": 1}', "not a list of JSON objects"),
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
