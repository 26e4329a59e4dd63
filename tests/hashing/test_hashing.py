"""Binary codes: their loss against loops, packing, Hamming distances, and what they find."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from typer.testing import CliRunner

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import PairscopeError, SourceError
from itr_core.hashing import evaluate
from itr_core.hashing.codes import STRUCTURE, BinaryHead, code_loss, train_codes
from itr_core.hashing.evaluate import evaluate_codes
from itr_core.metrics import CosineSimilarity, label_map
from itr_core.metrics.similarity import HammingSimilarity
from itr_core.pairs import load_pairs
from tests.pairs.layouts.stand_ins import mirflickr, paint
from ui.cli import app


def unit(seed: int, n: int, d: int = 6) -> Tensor:
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(x, dim=1)


def head_of(d: int = 6, bits: int = 8) -> BinaryHead:
    torch.manual_seed(0)
    return BinaryHead(d, bits).double().eval()


def loss_as_published(
    head: BinaryHead, v: Tensor, t: Tensor, y: Tensor, a: float, b: float, g: float
) -> float:
    def half_cos(x: Tensor, z: Tensor) -> float:
        return (x @ z / (x.norm() * z.norm())).item() / 2

    with torch.no_grad():
        c = [(v[i] + t[i]) / 2 for i in range(len(v))]
        hv, ht, hc = ([head(x[None])[0] for x in rows] for rows in (v, t, c))
    n, structure, sharing, rounding = len(v), 0.0, 0.0, 0.0
    labelled = [i for i in range(n) if y[i].any()]
    for i in range(n):
        rounding += ((hc[i] - hc[i].sign()) ** 2).sum().item() / n
        for j in range(n):
            structure += (half_cos(c[i], c[j]) - half_cos(hc[i], hc[j])) ** 2 / n
            for one, other in ((hv, hv), (hv, ht), (ht, ht)) if {i, j} <= {*labelled} else ():
                theta = half_cos(one[i], other[j])
                loss = math.log(1 + math.exp(theta)) - (theta if y[i] @ y[j] > 0 else 0)
                sharing += loss / len(labelled) ** 2
    return a * structure + b * sharing + g * rounding


@given(
    st.integers(0, 99),
    st.integers(1, 5),
    st.sampled_from([(1, 1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 3, 4)]),
)
def test_loss_equals_the_double_loop(seed: int, n: int, weights: tuple[float, float, float]) -> None:
    head, v, t = head_of(), unit(seed, n), unit(seed + 1, n)
    y = (torch.rand(n, 3, generator=torch.Generator().manual_seed(seed)) < 0.5).double()
    loss = code_loss(head, v, t, y, **dict(zip(("structure", "sharing", "rounding"), weights, strict=True)))
    assert loss.item() == pytest.approx(loss_as_published(head, v, t, y, *weights), abs=1e-9)


@pytest.mark.parametrize(
    ("term", "expected"),
    [("structure", 0.5127172338), ("sharing", 2.0160901383), ("rounding", 2.1285235904)],
)
def test_loss_has_the_values_of_the_authors_code(term: str, expected: float) -> None:
    # `calc_binary_loss` of src/train_binary_model.py in github.com/Hambaobao/CRCGS at 05f389f, in float64
    def wave(rows: int, columns: int, frequency: float) -> Tensor:
        return torch.sin(torch.arange(1, rows * columns + 1).double() * frequency).reshape(rows, columns)

    image, text = wave(6, 5, 2.3), wave(6, 5, 2.9)
    codes = torch.cat([torch.tanh(wave(6, 8, frequency)) for frequency in (5.1, 5.3, 5.7)])
    labels = [[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]]
    head = BinaryHead(5, 8)
    head.forward = lambda embeddings: codes  # type: ignore[method-assign] # the codes are given
    weights = {"structure": 0.0, "sharing": 0.0, "rounding": 0.0} | {term: 1.0}
    loss = code_loss(head, image, text, torch.tensor(labels).double(), **weights)
    assert loss.item() == pytest.approx(expected, abs=1e-8)


def test_gradient_of_the_loss() -> None:
    head, y = head_of(), torch.eye(3, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (unit(0, 3), unit(1, 3))]
    assert torch.autograd.gradcheck(lambda v, t: code_loss(head, v, t, y, rounding=0.3), inputs)


def test_codes_depend_only_on_directions_and_pack_the_signs() -> None:
    head = head_of(bits=16).float()
    x = unit(3, 9).float()
    codes = head.codes(x.numpy())
    assert codes.dtype == np.uint8
    assert codes.shape == (9, 2)
    np.testing.assert_array_equal(np.unpackbits(codes, axis=1), (head(x) > 0).numpy())
    np.testing.assert_array_equal(head.codes(7 * x.numpy()), codes)


@given(st.integers(0, 999), st.integers(1, 6), st.integers(1, 9), st.sampled_from([1, 4, 8, 64]))
def test_distances_count_differing_bits(seed: int, q: int, n: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    queries, items = (rng.integers(0, 256, (m, width), np.uint8) for m in (q, n))
    rows = HammingSimilarity(queries, items)
    assert rows.shape == (q, n)
    for i in range(q):
        for j in range(n):
            bits = [bin(int(a) ^ int(b)).count("1") for a, b in zip(queries[i], items[j], strict=True)]
            assert rows[i : i + 1][0, j] == -sum(bits)


def test_equally_distant_codes_rank_in_the_order_of_the_items() -> None:
    rows = HammingSimilarity(np.zeros((1, 1), np.uint8), np.array([[1], [2], [0], [4]], np.uint8))
    asked = np.array([[True]])
    for place, rank in ((0, 2), (1, 3), (2, 1), (3, 4)):
        right = (np.arange(4) == place)[:, None]
        assert label_map(rows, asked, right)["map@all"] == pytest.approx(100 / rank)


def classes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of four classes, in sixteen dimensions of which most are noise."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 4
    centre = 1.2 * np.eye(4, 16)[kind]
    image, text = (centre + 0.5 * rng.standard_normal((n, 16)) for _ in range(2))
    image, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (image, text))
    return image.astype(np.float32), text.astype(np.float32), np.eye(4, dtype=bool)[kind]


def test_training_brings_items_with_shared_labels_together() -> None:
    image, text, labels = classes(200, 0)
    queries, _, query_labels = classes(80, 1)

    def code_map(steps: int, structure: float = STRUCTURE) -> float:
        head = train_codes(image, text, labels, 32, seed=0, steps=steps, structure=structure)
        similarity = HammingSimilarity(head.codes(queries), head.codes(text))
        return label_map(similarity, query_labels, labels)["map@all"]

    untrained, trained = code_map(0), code_map(100)
    assert trained > untrained + 15
    assert trained > label_map(CosineSimilarity(queries, text), query_labels, labels)["map@all"] + 5
    assert code_map(100, structure=1.0) < untrained + 3  # why the paper's weight is not the default


def test_training_repeats_with_the_seed() -> None:
    image, text, labels = classes(30, 0)
    state = torch.get_rng_state()
    one, same, other = (train_codes(image, text, labels, 16, seed=seed, steps=3) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(one.codes(image), same.codes(image))
    assert (one.codes(image) != other.codes(image)).any()


@pytest.mark.parametrize("bits", [0, -8, 12])
def test_code_lengths_that_are_no_multiple_of_8_are_refused(bits: int) -> None:
    image, text, labels = classes(8, 0)
    with pytest.raises(PairscopeError, match=rf"bits={bits}: .*a positive multiple of 8"):
        train_codes(image, text, labels, bits, seed=0, steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 12}, "bits=12: must be a positive multiple of 8"),
        ({"bits": [32, 0]}, "bits=0: must be a positive multiple of 8"),
        ({"bits": []}, r"bits=\[\]: name at least one length"),
        ({"structure": -0.5}, r"structure=-0\.5: must be a number of at least 0"),
        ({"structure": math.nan}, "structure=nan: must be a number of at least 0"),
    ],
)
def test_options_are_checked_before_anything_is_embedded(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PairscopeError, match=message):
        evaluate_codes(None, None, **options)  # type: ignore[arg-type]  # neither is used


# -- a model on a source ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("configs")
def test_evaluation_does_not_train_on_queries(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, np.ndarray] = {}

    def spy(
        image: np.ndarray, text: np.ndarray, labels: np.ndarray, bits: int, *, seed: int, **more: float
    ) -> BinaryHead:
        seen.update(image=image, text=text, labels=labels)
        return train_codes(image, text, labels, bits, seed=seed, steps=2)

    monkeypatch.setattr(evaluate, "train_codes", spy)
    (pairs, encoder) = load_pairs(f"folder:{world}"), load_encoder("tiny/none")
    figures = evaluate_codes(encoder, pairs, bits=16, labels="concepts", seed=3)
    assert (figures["n_query_images"], figures["n_database_images"]) == (13, 51)
    assert len(seen["image"]) == 2 * 51  # once for each caption
    images = encoder.encode_images(pairs.image(index) for index in range(64))
    texts = encoder.encode_texts(pairs.flat_captions()[0])
    places = [np.abs(texts - row).max(1).argmin() // 2 for row in seen["text"]]
    stored = np.unique(places)
    np.testing.assert_array_equal(places, stored.repeat(2))
    np.testing.assert_allclose(seen["image"], np.repeat(images[stored], 2, axis=0), atol=1e-5)
    np.testing.assert_allclose(seen["text"], texts.reshape(64, 2, -1)[stored].reshape(102, -1), atol=1e-5)
    for direction in ("t2i", "i2t"):
        for name in ("codes", "embeddings"):
            assert 0 <= figures[name][direction]["map@n_query"] <= 100
    again = evaluate_codes(encoder, pairs, bits=16, labels="concepts", seed=3)
    assert again == figures
    asking = np.setdiff1d(np.arange(64), stored)
    from itr_core.supervision.labels import label_matrix

    _, has = label_matrix(pairs, "concepts", lambda: (images, images), seed=0)
    expected = label_map(
        CosineSimilarity(texts.reshape(64, 2, -1)[asking].reshape(26, -1), images[stored]),
        has[asking].repeat(2, axis=0),
        has[stored],
        n_query=13,  # the images, not their 26 captions
    )
    assert figures["embeddings"]["t2i"] == pytest.approx(expected, abs=0.2)


def test_the_command_prints_a_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "train_codes", lambda *a, **k: train_codes(*a, **k, steps=5))
    asked = ["hash", "picturebook-vit/none", "picturebook:test@12", "--bits", "64"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "3 query images, 9 database images" in words
    assert "64-bit codes" in words
    printed = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert (printed["labels"], printed["bits"], printed["n_query_images"]) == ("source", 64, 3)
    assert printed["codes"]["i2t"].keys() == {"map@n_query", "map@all"}
    assert "a positive multiple of 8" in CliRunner().invoke(app, [*asked[:-1], "9"]).stderr


@pytest.mark.usefixtures("configs")
def test_queries_and_database_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"mirflickr:{mirflickr(tmp_path)}"
    trained: list[np.ndarray] = []

    def spy(image: np.ndarray, *more: Any, **options: Any) -> BinaryHead:
        trained.append(image)
        return train_codes(image, *more, **options, steps=2)

    monkeypatch.setattr(evaluate, "train_codes", spy)
    sizes = ["--bits", "16", "--bits", "8"]
    parts = ["--queries", f"{spec}:query", "--database", f"{spec}:database"]
    result = CliRunner().invoke(app, ["hash", "tiny/none", f"{spec}:train", *parts, *sizes, "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert (figures["n_query_images"], figures["n_database_images"]) == (5, 35)
    assert figures["codes"].keys() == {"16", "8"}
    encoder, train = load_encoder("tiny/none"), load_pairs(f"{spec}:train")
    for images in trained:
        np.testing.assert_allclose(images, encoder.encode_images(pair.image for pair in train), atol=1e-5)
    table = CliRunner().invoke(app, ["hash", "tiny/none", f"{spec}:train", *parts, *sizes]).stdout
    assert "16-bit codes" in table
    assert " 8-bit codes" in table
    with pytest.raises(SourceError, match="name both sources or none"):
        evaluate_codes(encoder, train, queries=train)
    with pytest.raises(SourceError, match="labels='concepts': with queries and a database"):
        evaluate_codes(encoder, train, queries=train, database=train, labels="concepts")
    for row in range(3):
        paint(tmp_path / "blue" / f"{row}.jpg", ["sky"], row)
    (tmp_path / "blue" / "metadata.csv").write_text(
        "file_name,text,label\n" + "".join(f"{row}.jpg,a sky,blue\n" for row in range(3))
    )
    others = load_pairs(f"folder:{tmp_path}/blue")
    with pytest.raises(
        SourceError, match=r"No query of folder:.*blue has a label .* must name their labels alike"
    ):
        evaluate_codes(encoder, train, queries=others, database=train)
    paint(tmp_path / "world" / "1.jpg", ["sky"], 0)
    with pytest.raises(SourceError, match="world has no labels"):
        evaluate_codes(encoder, train, queries=train, database=load_pairs(f"folder:{tmp_path}/world"))


def test_a_source_of_one_image_is_refused() -> None:
    with pytest.raises(SourceError, match="1 images have captions; at least two"):
        evaluate_codes(load_encoder("picturebook-vit/none"), load_pairs("picturebook:test@1"))
