"""Token embeddings initialised with word vectors."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from itr_core.encoders import tokenizer
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.word_vectors import set_word_vectors
from itr_core.errors import ModelError

CAPTIONS = ["a dog and a cat", "the dog sees the cat", "a cat"] * 4
WIDTH = 32


@pytest.fixture
def encoder(tmp_path: Path) -> DualEncoder:
    tower = {"width": WIDTH, "layers": 1, "heads": 2}
    vision = {"image_size": 16, "patch_size": 8, "head_width": 16, "width": 32, "layers": 1}
    (tmp_path / "wordy.json").write_text(
        json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": tower | {"context_length": 16}})
    )
    open_clip.add_model_config(tmp_path / "wordy.json")
    own = tokenizer.train(CAPTIONS, vocab_size=300, context_length=16)
    return load_encoder("wordy/none", device="cpu", tokenizer=own)


def write(folder: Path, words: list[str], vectors: np.ndarray) -> Path:
    (folder / "words.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    np.save(folder / "vectors.npy", vectors)
    return folder


@pytest.mark.parametrize("scale", [1, 100])
def test_single_token_words_get_scaled_vectors_and_nothing_else_changes(
    encoder: DualEncoder, tmp_path: Path, scale: int
) -> None:
    vectors = scale * np.arange(60, dtype=np.float16).reshape(3, 20)
    before = encoder.model.token_embedding.weight.detach().clone()
    assert set_word_vectors(encoder, write(tmp_path, ["cat", "zebra", "dog"], vectors)) == 2
    after = encoder.model.token_embedding.weight.detach()
    rows = [encoder.tokenizer([word])[0, 1].item() for word in ("cat", "dog")]
    known = vectors[[0, 2]].astype(np.float32)
    factor = before.square().mean().sqrt().item() / np.sqrt(np.square(known).mean())
    np.testing.assert_allclose(after[rows, :20], factor * known, rtol=1e-5)
    assert torch.equal(after[:, 20:], before[:, 20:])
    others = torch.ones(len(after), dtype=torch.bool).index_fill(0, torch.tensor(rows), False)
    assert torch.equal(after[others], before[others])


@pytest.mark.parametrize("vectors", [np.zeros((1, 8)), np.zeros((2, WIDTH + 1)), np.zeros(2)])
def test_vectors_of_the_wrong_shape_are_refused(
    encoder: DualEncoder, tmp_path: Path, vectors: np.ndarray
) -> None:
    with pytest.raises(ModelError, match=r"2 words and a text tower of width 32 need \(2, at most 32\)"):
        set_word_vectors(encoder, write(tmp_path, ["cat", "dog"], vectors))


def test_a_folder_without_vectors_is_named(encoder: DualEncoder, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it needs words\.txt and vectors\.npy"):
        set_word_vectors(encoder, tmp_path / "nowhere")
