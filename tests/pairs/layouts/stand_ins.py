"""Small data sets in the official layouts, of drawn images, on which sources and recipes are tested."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"sky": (90, 140, 230), "sunset": (230, 120, 40), "water": (30, 80, 160), "tree": (30, 120, 40)}


def paint(path: Path, labels: list[str], seed: int, size: int = 32) -> None:
    """Draw one stripe for each label."""
    pixels = np.random.default_rng(seed).integers(0, 40, (size, size, 3))
    for index, label in enumerate(labels):
        pixels[index * 8 : index * 8 + 8] += np.array(COLOURS[label]) // 2
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def some_labels(index: int) -> list[str]:
    """Return one or two labels."""
    names = list(COLOURS)
    return sorted({names[index % 4], names[index // 4 % 4]})


def mirflickr(root: Path, n: int = 40) -> Path:
    """Write n usable images, one without tags and one without labels."""
    from itr_core.pairs.layouts.mirflickr import LABELS

    of_label: dict[str, list[int]] = {name: [] for name in LABELS}
    for number in range(1, n + 3):
        labels = some_labels(number)
        paint(root / f"mirflickr/im{number}.jpg", labels, number)
        tags = root / f"mirflickr/meta/tags/tags{number}.txt"
        tags.parent.mkdir(parents=True, exist_ok=True)
        tags.write_text("\n".join(["rare", *labels]) if number != n + 1 else "rare", encoding="utf-8")
        for label in labels if number != n + 2 else ():
            of_label[label].append(number)
    common = root / "mirflickr/doc/common_tags.txt"
    common.parent.mkdir()
    common.write_text("".join(f"{name} 20\n" for name in COLOURS))
    annotations = root / "mirflickr25k_annotations_v080"
    annotations.mkdir()
    for label, numbers in of_label.items():
        (annotations / f"{label}.txt").write_text("".join(f"{number}\n" for number in numbers))
        (annotations / f"{label}_r1.txt").write_text("1\n")
    return root


def nuswide(root: Path, n: int = 48) -> Path:
    """Write n usable images, one without a known tag and one without labels."""
    listed, tags = [], []
    has: dict[str, list[str]] = {name: [] for name in (*COLOURS, "airport")}
    for index in range(n + 2):
        labels = some_labels(index)
        name = f"actor/{index:04}_{9000 + index}"
        paint(root / f"Flickr/{name}.jpg", labels, index)
        listed.append(name.replace("/", "\\") + ".jpg")
        tags.append(f"{9000 + index}      " + (" ".join(labels) if index != n else "") + "  unknowntag ")
        for label, lines in has.items():
            lines.append("1" if label in labels and index != n + 1 else "0")
    for place, lines in {
        "ImageList/Imagelist.txt": listed,
        "NUS_WID_Tags/All_Tags.txt": tags,
        "NUS_WID_Tags/TagList1k.txt": [*COLOURS],
        **{f"Groundtruth/AllLabels/Labels_{label}.txt": lines for label, lines in has.items()},
    }.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("".join(f"{line}\r\n" for line in lines))
    return root


def cub(root: Path) -> Path:
    """Write two images of each of four classes, two of which are for training."""
    classes = {1: "001.Auk", 100: "100.Pelican", 101: "101.Gull", 200: "200.Wren"}
    images = [(number, f"{name}/{k}.jpg") for number, name in classes.items() for k in range(2)]
    for index, (_, path) in enumerate(images):
        paint(root / "images" / path, some_labels(index), index)
    _lists(
        root,
        {
            "classes.txt": [f"{number} {name}" for number, name in classes.items()],
            "images.txt": [f"{row} {path}" for row, (_, path) in enumerate(images, 1)],
            "image_class_labels.txt": [f"{row} {number}" for row, (number, _) in enumerate(images, 1)],
        },
    )
    return root


def sop(root: Path) -> Path:
    """Write two images of each of four products, two of which are for training."""
    header = "image_id class_id super_class_id path"
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for index in range(8):
        path = f"chair_final/{index}.JPG"
        paint(root / path, some_labels(index), index)
        lines["train" if index < 4 else "test"].append(f"{index + 1} {index // 2 + 1} 1 {path}")
    _lists(root, {f"Ebay_{split}.txt": [header, *rows] for split, rows in lines.items()})
    return root


def inshop(root: Path) -> Path:
    """Write two images of each of four items; of two items, one image is a query."""
    rows = []
    for index in range(8):
        path = f"img/MEN/Shorts/{index}.jpg"
        paint(root / "Img" / path, some_labels(index), index)
        split = "train" if index < 4 else "query" if index % 2 else "gallery"
        rows.append(f"{path}    id_{index // 2:08}    {split}")
    _lists(root, {"Eval/list_eval_partition.txt": ["8", "image_name item_id evaluation_status", *rows]})
    return root


def flickr30k(root: Path, n: int = 24) -> Path:
    """Write Karpathy's file of Flickr30K and its images."""
    entries = []
    for index in range(n):
        labels = some_labels(index)
        paint(root / f"flickr30k-images/{index}.jpg", labels, index)
        texts = [f"{' and '.join(labels)} number {index} told {k} times" for k in range(5)]
        split = "train" if index < n // 2 else "val" if index < 3 * n // 4 else "test"
        entries.append(
            {"filename": f"{index}.jpg", "split": split, "sentences": [{"raw": text} for text in texts]}
        )
    (root / "dataset_flickr30k.json").write_text(json.dumps({"images": entries}))
    return root


def coco(root: Path, n: int = 24) -> Path:
    """Write COCO 2014 with captions, instances, and Karpathy's splits; return Karpathy's file."""
    entries, images, objects, captions = [], [], [], []
    for index in range(n):
        labels = some_labels(index)
        name = f"COCO_val2014_{index + 1:012}.jpg"
        paint(root / "val2014" / name, labels, index)
        split = "train" if index < n // 2 else "val" if index < 3 * n // 4 else "test"
        texts = [f"{' and '.join(labels)} number {index} told {k} times" for k in range(5)]
        entries.append(
            {
                "filename": name,
                "filepath": "val2014",
                "cocoid": index + 1,
                "split": split,
                "sentences": [{"raw": text} for text in texts],
            }
        )
        images.append({"id": index + 1, "file_name": name})
        captions += [{"image_id": index + 1, "caption": text} for text in texts]
        objects += [
            {"image_id": index + 1, "category_id": 7 + list(COLOURS).index(label), "segmentation": [[1.5]]}
            for label in labels
        ]
    categories = [{"id": 7 + index, "name": name} for index, name in enumerate(COLOURS)]
    for file, content in {
        "dataset_coco.json": {"images": entries},
        "annotations/captions_val2014.json": {"images": images, "annotations": captions},
        "annotations/instances_val2014.json": {
            "images": images,
            "annotations": objects,
            "categories": categories,
        },
    }.items():
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text(json.dumps(content))
    return root / "dataset_coco.json"


def precomp(root: Path, n: int = 8, regions: int = 3) -> Path:
    """Write SCAN's files of regions, and a split `pooled` of vectors, each repeated for five captions."""
    root.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for split in ("train", "dev", "test", "testall", "pooled"):
        features = random.random((n, regions, 2048), np.float32)
        np.save(
            root / f"{split}_ims.npy", features if split != "pooled" else features[:, 0].repeat(5, axis=0)
        )
        texts = [f"{split} picture {row} told {k} times" for row in range(n) for k in range(5)]
        (root / f"{split}_caps.txt").write_text("\n".join(texts) + "\n")
        (root / f"{split}_ids.txt").write_text("\n".join(str(1000 + row) for row in range(n)) + "\n")
    return root


def arrays(root: Path, n: int = 40) -> Path:
    """Write the files of CRCGS for MIRFLICKR: features, bags of words and labels."""
    root.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    labels = np.zeros((n, 4), bool)
    for row in range(n):
        labels[row, [list(COLOURS).index(name) for name in some_labels(row)]] = True
    np.save(root / "feature.npy", random.random((n, 4096), np.float32))
    np.save(root / "bow.npy", labels.astype(np.float32))
    np.save(root / "label.npy", labels)
    return root


def _lists(root: Path, lists: dict[str, list[str]]) -> None:
    for name, lines in lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n")
