"""The shipped models: small, complete, loadable by plain open_clip, and better than chance."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.encoders.model_specs import STARTERS
from itr_core.pairs import load_pairs

STARTER_NAMES = sorted(folder.name for folder in STARTERS.iterdir() if folder.is_dir())

POOR = {"small-hot", "small-batch-8"}
"""Starters that show what a wrong setting does."""


@pytest.fixture(params=STARTER_NAMES)
def folder(request: pytest.FixtureRequest) -> Path:
    return STARTERS / request.param


def test_every_method_has_a_starter() -> None:
    assert set(STARTER_NAMES) == {
        "infonce", "infonce-continued", "infonce-continued-2", "crcgs", "coder", "ascl", "cusa",
        "small", "small-untrained", "small-hot", "small-cold", "small-batch-8", "small-no-colours",
    }  # fmt: skip


def test_all_starters_have_other_weights() -> None:
    weights = {(STARTERS / name / "open_clip_model.safetensors").read_bytes() for name in STARTER_NAMES}
    assert len(weights) == len(STARTER_NAMES)


def test_weights_are_small_and_the_card_has_the_training_command(folder: Path) -> None:
    assert (folder / "open_clip_model.safetensors").stat().st_size < 10e6
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"# starter:{folder.name}" in card
    command = "make" if folder.name == "small-untrained" else "ship"
    assert f"python benchmarks/starter.py {command} {folder.name} " in card
    assert "| rsum |" in card


def test_plain_open_clip_gives_the_same_embeddings(folder: Path) -> None:
    encoder = load_encoder(f"starter:{folder.name}", device="cpu")
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    pairs = load_pairs("picturebook:test_unseen@8")
    images = [pairs.image(row) for row in range(len(pairs))]
    texts = [captions[-1] for captions in pairs.captions]
    with torch.inference_mode():
        v = model.encode_image(torch.stack([preprocess(image) for image in images]), normalize=True)
        t = model.encode_text(tokenizer(texts), normalize=True)
    np.testing.assert_allclose(encoder.encode_images(images), v.numpy(), atol=1e-4)
    np.testing.assert_allclose(encoder.encode_texts(texts), t.numpy(), atol=1e-5)
    least = 0 if folder.name == "small-untrained" else 4 if folder.name in POOR else 6
    assert ((v @ t.T).argmax(dim=1) == torch.arange(len(pairs))).sum() >= least
