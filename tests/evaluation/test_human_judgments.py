"""Judgments of people: COCO's against the eccv_caption package, Flickr8k's and STS files against loops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from scipy.stats import spearmanr

from itr_core.errors import SourceError
from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.human_judgments import coco_positives, expert_judgments
from itr_core.evaluation.protocols import PROTOCOLS
from itr_core.pairs import PairSet


def pair_set(captions: dict[str, int], source: str = "made:up") -> PairSet:
    """Images by id, so many captions each; there are no pictures."""
    texts = [[f"{name} {k}" for k in range(count)] for name, count in captions.items()]
    columns = {"image": [None] * len(texts), "captions": texts, "image_id": list(captions)}
    return PairSet(Dataset.from_dict(columns), source=source)


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def eccv() -> Any:
    return pytest.importorskip("eccv_caption", reason="eccv_caption is in the extras dev and eccv").Metrics()


@pytest.fixture(scope="module")
def coco(eccv: Any) -> Embedded:
    """COCO's test split as a model sees it that is right about a third of the time."""
    caption_ids = eccv.coco_ids.tolist()
    image_ids = list(dict.fromkeys(eccv.coco_gts["t2i"][caption][0] for caption in caption_ids))
    random = np.random.default_rng(0)
    images = unit(random.standard_normal((5000, 24)))
    texts = unit(np.repeat(images, 5, axis=0) + 0.3 * random.standard_normal((25000, 24)))
    return Embedded(pair_set({str(image): 5 for image in image_ids}), images, texts)


def first(queries: np.ndarray, items: np.ndarray, ids: list[int], k: int) -> list[list[int]]:
    """The ids of the k best items of each query."""
    scores = queries @ items.T
    best = np.argpartition(-scores, k, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return [[ids[item] for item in row] for row in np.take_along_axis(best, order, axis=1)]


def test_karpathy_orders_captions_by_their_ids(eccv: Any) -> None:
    """What `coco_positives` takes for granted, for all of the split."""
    own = eccv.coco_ids.reshape(5000, 5)
    assert (np.diff(own, axis=1) > 0).all()
    for captions in own.tolist():
        image = eccv.coco_gts["t2i"][captions[0]][0]
        assert sorted(eccv.coco_gts["i2t"][image]) == captions


@pytest.mark.parametrize(("name", "judged"), [("eccv", "eccv_gts"), ("cxc", "cxc_gts")])
def test_metrics_equal_those_of_eccv_caption(eccv: Any, coco: Embedded, name: str, judged: str) -> None:
    captions = eccv.coco_ids.tolist()
    images = [int(image_id) for image_id in coco.pairs.image_ids]
    asked = getattr(eccv, judged)
    # Two captions that lie outside the split can be found by no one.
    split = set(captions)
    asked["i2t"] = {image: [c for c in right if c in split] for image, right in asked["i2t"].items()}
    retrieved: dict[str, dict[int, list[int]]] = {}
    for direction, ids, queries, items, item_ids, k in (
        ("i2t", images, coco.images, coco.texts, captions, 60),
        ("t2i", captions, coco.texts, coco.images, images, 30),
    ):
        keys = [key for key in ids if key in asked[direction]]
        row = {key: place for place, key in enumerate(ids)}
        best = first(queries[[row[key] for key in keys]], items, item_ids, k)
        retrieved[direction] = dict(zip(keys, best, strict=True))
    found = {figure.name: figure.value for figure in PROTOCOLS[name](coco)}
    recall = eccv.eccv_recalls if name == "eccv" else eccv.cxc_recalls
    expected = {f"r{k}": recall(retrieved, "all", K=k) for k in (1, 5, 10)}
    if name == "eccv":
        published = eccv.eccv_metrics(retrieved, "all")
        expected |= {"map_at_r": published["eccv_map_at_r"], "r_precision": published["eccv_rprecision"]}
    for measure, both in expected.items():
        for direction, value in both.items():
            assert found[f"{name}_{direction}_{measure}"] == pytest.approx(100 * value), (direction, measure)
    assert 20 < found[f"{name}_t2i_r1"] < 80


def test_coco_1k_equals_eccv_caption(eccv: Any, coco: Embedded) -> None:
    """It looks at the items of a query's own fold alone, so these are all it need be given."""
    captions = eccv.coco_ids.tolist()
    images = [int(image_id) for image_id in coco.pairs.image_ids]
    retrieved: dict[str, dict[int, list[int]]] = {"t2i": {}, "i2t": {}}
    for start in range(0, 5000, 1000):
        v, t = slice(start, start + 1000), slice(5 * start, 5 * start + 5000)
        best = first(coco.texts[t], coco.images[v], images[v], 10)
        retrieved["t2i"] |= zip(captions[t], best, strict=True)
        retrieved["i2t"] |= zip(images[v], first(coco.images[v], coco.texts[t], captions[t], 10), strict=True)
    found = {figure.name: figure.value for figure in PROTOCOLS["coco-1k"](coco)}
    for k in (1, 10):
        for direction, value in eccv.coco_1k_recalls(retrieved, "all", K=k).items():
            assert found[f"coco_1k_{direction}_r{k}"] == pytest.approx(100 * value)


def test_a_part_of_the_split_has_only_its_own_positives(eccv: Any, coco: Embedded) -> None:
    chosen = sorted(eccv.eccv_gts["i2t"])[:40]
    part = pair_set({str(image): 5 for image in chosen} | {"not COCO": 2})
    positives = coco_positives("eccv", part)
    rows, relevant = positives["i2t"]
    caption_row = {
        caption: 5 * row + place
        for row, image in enumerate(chosen)
        for place, caption in enumerate(sorted(eccv.coco_gts["i2t"][image]))
    }
    assert sorted(rows) == list(range(40))
    for row, true in zip(rows, relevant[slice(0, 40)], strict=True):
        right = {caption_row[c] for c in eccv.eccv_gts["i2t"][chosen[row]] if c in caption_row}
        assert set(np.flatnonzero(true)) == right
    assert relevant.shape == (40, 202)
    with pytest.raises(SourceError, match=r"no captioned image of the COCO test split"):
        coco_positives("cxc", pair_set({"a.jpg": 5}))
    with pytest.raises(SourceError, match="five folds of 1,000 images; made:up has 2"):
        PROTOCOLS["coco-1k"](Embedded(pair_set({"1": 1, "2": 1}), np.eye(2), np.eye(2)))


# -- Flickr8k --------------------------------------------------------------------------------------------


def test_expert_judgments_equal_explicit_values(tmp_path: Path) -> None:
    pairs = pair_set({"a.jpg": 2, "b.jpg": 0, "c.jpg": 3})
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[0.9, 0, 0], [0.5, 0, 0.7], [0.5, 0, 0.1], [0.2, 0, 0.8], [0.5, 0, 0.5]], np.float32)
    lines = [
        "a.jpg\ta.jpg#0\t4\t4\t3",  # cosine .9
        "a.jpg\tc.jpg#2\t1\t1\t2",  # .5, a caption of another image
        "a.jpg\ta.jpg#1\t2\t1\t1",  # .5, the same mean grade as the line before: no order asked of these two
        "c.jpg\ta.jpg#1\t3\t3\t3",  # .7
        "c.jpg\tc.jpg#1\t2\t2\t2",  # .8, above the better one
        "b.jpg\telsewhere.jpg#0\t1\t1\t1",  # not in the source, nor is the next
        "c.jpg\tc.jpg#3\t1\t1\t1",
    ]
    (tmp_path / "expert.txt").write_text("\n".join(lines) + "\n")
    correlation, accuracy = expert_judgments(tmp_path / "expert.txt", pairs, images, texts)
    expected = spearmanr([0.9, 0.5, 0.5, 0.7, 0.8], [11 / 3, 4 / 3, 4 / 3, 3, 2]).statistic
    assert correlation.value == pytest.approx(expected)
    assert accuracy.value == pytest.approx(100 * 2 / 3)  # right for two pairs of a.jpg, wrong for c.jpg
    assert accuracy.parts[0].image.tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg\ta.jpg#0\t4\t4", "line 1: 4 columns, expected 5 separated by tabs"),
        ("a.jpg\ta.jpg#0\t4\t4\tgood", "line 1: could not convert string to float: 'good'"),
        ("b.jpg\tb.jpg#0\t4\t4\t4", "none of its judged pairs is in made:up"),
        ("", "is empty"),
    ],
)
def test_unusable_judgments_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "expert.txt"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        expert_judgments(path, pair_set({"a.jpg": 1}), np.eye(1), np.eye(1))
    with pytest.raises(SourceError, match="cannot be read"):
        expert_judgments(tmp_path / "missing.txt", pair_set({"a.jpg": 1}), np.eye(1), np.eye(1))
