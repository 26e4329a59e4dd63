"""Data sets in their official layouts: labels, tags and splits, and messages about what is missing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from itr_core.pairs.layouts.hashing_splits import parts_by_class, random_parts
from tests.pairs.layouts import stand_ins
from tests.pairs.layouts.stand_ins import some_labels


def ids(pairs: PairSet) -> set[str]:
    return set(pairs.image_ids)


@pytest.mark.parametrize(("scheme", "n"), [("mirflickr", 40), ("nuswide", 48)])
def test_splits_of_hashing_are_disjoint_and_the_database_is_all_but_the_queries(
    scheme: str, n: int, tmp_path: Path
) -> None:
    spec = f"{scheme}:{getattr(stand_ins, scheme)(tmp_path)}"
    whole = load_pairs(spec)
    parts = {split: load_pairs(f"{spec}:{split}") for split in ("train", "val", "query", "database")}
    assert len(whole) == n
    drawn = [ids(parts[split]) for split in ("train", "val", "query")]
    assert all(drawn)
    assert len(set.union(*drawn)) == sum(map(len, drawn))
    assert ids(parts["database"]) == ids(whole) - ids(parts["query"])
    assert ids(load_pairs(f"{spec}:query")) == ids(parts["query"])
    assert len(load_pairs(f"{spec}:train", limit=3)) == 3
    with pytest.raises(SourceError, match=r"unknown split 'test'\. .*(database|query)"):
        load_pairs(f"{spec}:test")


def test_tags_are_the_caption_and_annotations_the_labels_of_mirflickr(tmp_path: Path) -> None:
    pairs = load_pairs(f"mirflickr:{stand_ins.mirflickr(tmp_path)}")
    for image_id, captions, labels in zip(pairs.image_ids, pairs.captions, pairs.labels or (), strict=True):
        assert labels == some_labels(int(image_id.removeprefix("im")))
        assert captions == [" ".join(labels)]
    assert any("40 of 42 images have a label and a common tag" in note for note in pairs.notes)


def test_concepts_and_tags_of_nuswide(tmp_path: Path) -> None:
    pairs = load_pairs(f"nuswide:{stand_ins.nuswide(tmp_path)}")
    assert pairs.image_ids[3] == "actor/0003_9003"
    assert pairs.labels == [some_labels(index) for index in range(48)]
    assert pairs.captions == [[" ".join(labels)] for labels in pairs.labels or ()]


def test_the_sizes_of_the_literature() -> None:
    parts = random_parts(20_015)
    assert {name: len(rows) for name, rows in parts.items()} == {
        "train": 10_000,
        "query": 2_000,
        "val": 2_000,
    }
    has_label = np.random.default_rng(1).random((30_000, 21)) < np.linspace(0.05, 0.3, 21)
    parts = parts_by_class(has_label)
    assert {name: len(rows) for name, rows in parts.items()} == {
        "query": 2_100,
        "val": 2_100,
        "train": 10_500,
    }
    assert len(np.unique(np.concatenate([*parts.values()]))) == 2_100 + 2_100 + 10_500
    assert (has_label[parts["train"]].sum(axis=0) >= 500).all()


@pytest.mark.parametrize(
    ("write", "splits"),
    [
        (stand_ins.cub, {"train": 4, "test": 4}),
        (stand_ins.sop, {"train": 4, "test": 4}),
        (stand_ins.inshop, {"train": 4, "query": 2, "gallery": 2}),
    ],
)
def test_classes_without_captions(
    write: Callable[[Path], Path], splits: dict[str, int], tmp_path: Path
) -> None:
    spec = f"{write.__name__}:{write(tmp_path)}"
    parts = {split: load_pairs(f"{spec}:{split}") for split in splits}
    assert {split: len(pairs) for split, pairs in parts.items()} == splits
    assert len(load_pairs(spec)) == 8
    assert not any(parts["train"].captions)
    labels = {split: {name for own in pairs.labels or () for name in own} for split, pairs in parts.items()}
    held_out = [labels[split] for split in splits if split != "train"]
    assert all(not own & labels["train"] for own in held_out)
    assert all(own == held_out[0] for own in held_out)
    with pytest.raises(SourceError, match="unknown split 'dev'"):
        load_pairs(f"{spec}:dev")


def test_instances_beside_the_captions_are_the_labels_of_coco(tmp_path: Path) -> None:
    karpathy = stand_ins.coco(tmp_path)
    captions = tmp_path / "annotations" / "captions_val2014.json"
    instances = tmp_path / "annotations" / "instances_val2014.json"
    for spec in (f"karpathy:{karpathy}", f"coco:{captions}"):
        pairs = load_pairs(spec)
        assert [sorted(own) for own in pairs.labels or ()] == [some_labels(index) for index in range(24)]
        assert "The labels are the categories of instances_val2014.json." in pairs.notes
        assert len(pairs.captions[0]) == 5
    alone = load_pairs(f"coco:{instances}", columns={"captions": []})
    assert alone.labels == pairs.labels

    content = json.loads(instances.read_text())
    content["annotations"][1]["category_id"] = 99
    instances.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=r"instances_val2014\.json, annotation 1: category_id 99"):
        load_pairs(f"coco:{captions}")
    instances.write_text("[]")
    with pytest.raises(SourceError, match=r"not COCO's instances .* move it away"):
        load_pairs(f"karpathy:{karpathy}")
    instances.unlink()
    assert load_pairs(f"karpathy:{karpathy}").labels is None


@pytest.mark.parametrize("folder", ["Flicker8k_Dataset", "flickr30k-images", "../flickr30k_images"])
def test_the_usual_folders_of_flickr_are_found(folder: str, tmp_path: Path) -> None:
    stand_ins.paint(tmp_path / "data" / folder / "1.jpg", ["sky"], 0)
    path = tmp_path / "data" / "dataset_flickr8k.json"
    path.write_text(
        json.dumps({"images": [{"filename": "1.jpg", "split": "test", "sentences": [{"raw": "a"}]}]})
    )
    assert load_pairs(f"karpathy:{path}:test").image_ids == ["1.jpg"]


@pytest.mark.parametrize(
    ("scheme", "change", "message"),
    [
        ("mirflickr", "remove:mirflickr25k_annotations_v080/animals.txt", r"no annotations \(animals\.txt"),
        ("mirflickr", "remove:mirflickr25k_annotations_v080/sky.txt", r"sky\.txt: cannot be read"),
        ("mirflickr", "write:mirflickr25k_annotations_v080/sky.txt:im7", r"sky\.txt, line 1: 'im7' is not"),
        ("mirflickr", "write:mirflickr/doc/common_tags.txt:", "no image has both a label and a tag"),
        ("nuswide", "remove:ImageList/Imagelist.txt", r"no Imagelist\.txt in this folder"),
        ("nuswide", "remove:NUS_WID_Tags/TagList1k.txt", r"no TagList1k\.txt in this folder"),
        ("nuswide", "write:Groundtruth/AllLabels/Labels_sky.txt:1", r"1 lines, but Imagelist\.txt names 50"),
        ("cub", "write:image_class_labels.txt:1 1", r"the image 2 \(001\.Auk/1\.jpg\) has no class"),
        ("sop", "write:Ebay_test.txt:1 2", r"Ebay_test\.txt, line 1: 2 columns instead of 4"),
        ("inshop", "remove:Eval/list_eval_partition.txt", r"list_eval_partition\.txt: cannot be read"),
    ],
)
def test_missing_and_damaged_files_are_named(scheme: str, change: str, message: str, tmp_path: Path) -> None:
    root = getattr(stand_ins, scheme)(tmp_path)
    action, name, *content = change.split(":")
    (root / name).unlink() if action == "remove" else (root / name).write_text(content[0])
    with pytest.raises(SourceError, match=message):
        load_pairs(f"{scheme}:{root}")
