"""Evaluation: the model's own embeddings and nothing else decide, and what was measured is said."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from itr_core.encoder import DualEncoder, load_encoder
from itr_core.errors import SourceError
from itr_core.evaluation import evaluate
from itr_core.metrics import retrieval_metrics
from itr_core.pairs import PairSet, load_pairs


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("picturebook-vit/none", device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    lines = ["image,caption"]
    for index in range(12):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(tmp_path / f"{index:02}.png")
        lines += [f"{index:02}.png,picture {index} told {k} times" for k in range(index % 4)]
    (tmp_path / "captions.txt").write_text("\n".join(lines))
    return tmp_path


def expected(encoder: DualEncoder, pairs: PairSet, rows: list[int]) -> dict[str, float]:
    images = encoder.encode_images([pairs.image(row) for row in rows])
    owner = [place for place, row in enumerate(rows) for _ in pairs.captions[row]]
    texts = encoder.encode_texts([text for row in rows for text in pairs.captions[row]])
    return retrieval_metrics(images @ texts.T, np.array(owner))


def test_figures_are_those_of_the_embeddings_and_say_what_was_measured(
    encoder: DualEncoder, folder: Path
) -> None:
    pairs = load_pairs(f"folder:{folder}")
    result = evaluate(encoder, pairs)
    figures = expected(encoder, pairs, list(range(12)))
    assert {name: result[name] for name in figures} == pytest.approx(figures)
    assert (result["n_images"], result["n_captions"]) == (12, 18)
    assert (result["model"], result["source"]) == ("picturebook-vit/none", pairs.source)
    assert (result["model_sha256"], result["source_sha256"]) == (encoder.fingerprint, pairs.fingerprint)
    assert result["skipped"] == []


def test_undecodable_images_leave_with_their_captions(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:80])
    result = evaluate(encoder, pairs)
    rows = [row for row in range(12) if row != 5]
    assert result["rsum"] == pytest.approx(expected(encoder, pairs, rows)["rsum"])
    assert (result["n_images"], result["n_captions"]) == (11, 17)
    assert len(result["skipped"]) == 1
    assert result["skipped"][0].startswith("05.png")


def test_features_stand_for_the_images(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    features = encoder.image_features(pairs.image(row) for row in range(12))
    assert evaluate(encoder, pairs, features) == evaluate(encoder, pairs)
    with pytest.raises(SourceError, match="11 rows of features, 12 images"):
        evaluate(encoder, pairs, features[1:])


def test_no_captions_no_figures(encoder: DualEncoder, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(SourceError, match="no image with a caption"):
        evaluate(encoder, load_pairs(f"folder:{tmp_path}"))
