"""The text tower without padding equals open_clip's at full length, for every kind of tower."""

import json
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional as F

from itr_core import DualEncoder, load_encoder
from itr_core.encoders.text_tower import GROUP, TextTower
from itr_core.errors import ModelError

VISION = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16}
TEXT = {"context_length": 24, "width": 32, "heads": 2, "layers": 3}
END = 49407  # of open_clip's own tokenizer
CAUSAL: dict[str, dict[str, Any]] = {
    "clip": {},
    "quickgelu": {"quick_gelu": True},
    "custom-text": {"custom_text": True},
    "eos": {"custom_text": True, "text_cfg": {"pool_type": "eos", "eos_id": END}},
    "eos-clip": {"text_cfg": {"pool_type": "eos", "eos_id": END}},
    "bias-and-scale": {"text_cfg": {"proj_bias": True, "ls_init_value": 0.5}},
    "one-layer": {"text_cfg": {"layers": 1}},
    "no-projection": {"text_cfg": {"proj_type": "none"}},
    "resnet": {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "patch_size": None}},
    "eva": {"custom_text": True, "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "token"}},
}
OTHER: dict[str, dict[str, Any]] = {
    "both-ways": {
        "custom_text": True,
        "text_cfg": {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    },
    "last": {"text_cfg": {"pool_type": "last"}},
    "custom-blocks": {"custom_text": True, "text_cfg": {"scale_fc": True, "pool_type": "argmax"}},
    "coca": {
        "custom_text": True,
        "vision_cfg": {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 24, "width": 32, "heads": 2, "layers": 1},
    },
}  # fmt: skip
CAPTIONS = ["", "dog", "A dog!", "two people ride a red bicycle, at night", "word " * 40, "a cat on a mat"]


@pytest.fixture(scope="module", autouse=True)
def _architectures(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("configs")
    for name, changes in (CAUSAL | OTHER).items():
        config: dict[str, Any] = {"embed_dim": 32}
        config |= {key: value for key, value in changes.items() if "cfg" not in key}
        config["vision_cfg"] = VISION | changes.get("vision_cfg", {})
        config["text_cfg"] = TEXT | changes.get("text_cfg", {})
        if "multimodal_cfg" in changes:
            config["multimodal_cfg"] = changes["multimodal_cfg"]
        (folder / f"tiny-{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


def reference(encoder: DualEncoder, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        return F.normalize(encoder.model.encode_text(encoder.tokenizer(texts)), dim=-1).numpy()


@pytest.mark.parametrize("name", [*CAUSAL, *OTHER])
def test_embeddings_equal_open_clips(name: str) -> None:
    encoder = load_encoder(f"tiny-{name}/none", device="cpu")
    assert encoder.text_tower.skips_padding == (name in CAUSAL)
    for texts in (CAPTIONS, ["a dog"], ["a dog"] * 3, [""], ["word " * 40], CAPTIONS * 20):
        np.testing.assert_allclose(encoder.encode_texts(texts), reference(encoder, texts), atol=1e-5)
    np.testing.assert_allclose(
        encoder.encode_texts(CAPTIONS, batch_size=2), reference(encoder, CAPTIONS), atol=1e-5
    )


def test_texts_in_groups_of_similar_length_keep_their_order() -> None:
    encoder, texts = load_encoder("tiny-clip/none", device="cpu"), CAPTIONS * (2 * GROUP // len(CAPTIONS) + 1)
    found = encoder.encode_texts(texts, batch_size=len(texts))
    np.testing.assert_allclose(found, reference(encoder, texts), atol=1e-5)


@pytest.mark.parametrize("name", ["clip", "eos", "both-ways", "coca"])
def test_word_tokens_equal_open_clips(name: str) -> None:
    encoder = load_encoder(f"tiny-{name}/none", device="cpu")
    pooled, tokens, mask = encoder.encode_texts(CAPTIONS, tokens=True, batch_size=4)
    ids = encoder.tokenizer(CAPTIONS)
    tower = getattr(encoder.model, "text", encoder.model)
    with torch.inference_mode():
        if name == "clip":
            out = encoder.model.forward_intermediates(text=ids, text_indices=1, normalize_intermediates=True)
        else:
            out = tower.forward_intermediates(ids, indices=1, normalize_intermediates=True, output_fmt="NLC")
        hidden = out["text_intermediates"][-1]
        projection = tower.text_projection
        full = projection(hidden) if isinstance(projection, torch.nn.Linear) else hidden @ projection
    np.testing.assert_allclose(pooled, reference(encoder, CAPTIONS), atol=1e-5)
    expected = F.normalize(full, dim=-1).numpy()[:, : tokens.shape[1]]
    np.testing.assert_allclose(tokens, expected * mask[..., None], atol=1e-5)
    # of 24 positions, 22 are between start and end
    assert mask.sum(1).tolist() == [0, 1, 3, 9, 22, 5]
    assert not mask[:, 0].any()


@pytest.mark.parametrize("repeats", [1, GROUP])
def test_gradients_equal_those_at_full_length(repeats: int) -> None:
    encoder = load_encoder("tiny-clip/none", device="cpu").double()  # float32 sums of many captions differ
    ids = encoder.tokenizer(CAPTIONS * repeats)
    weights = [weight for name, weight in encoder.model.named_parameters() if "visual" not in name]
    short = torch.autograd.grad(encoder.embed_text(ids).square().sum() / repeats, weights, allow_unused=True)
    full = torch.autograd.grad(
        encoder.model.encode_text(ids).square().sum() / repeats, weights, allow_unused=True
    )
    for ours, theirs in zip(short, full, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


def test_padding_and_shared_beginnings_are_not_computed() -> None:
    encoder = load_encoder("tiny-clip/none", device="cpu")
    rows: list[int] = []
    block = encoder.model.transformer.resblocks[0]
    hook = block.ln_1.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].shape[0]))
    texts = ["dog", "a dog", "a dog", "a cat and a dog"]
    found = encoder.encode_texts(texts)
    encoder.embed_text(encoder.tokenizer(texts))  # with gradients, nothing is shared
    hook.remove()
    # start; "dog", end; "a", "dog", end; "cat", "and", "a", "dog", end
    assert rows == [1 + 2 + 3 + 5, 3 + 4 + 4 + 7]
    np.testing.assert_array_equal(found[1], found[2])
    np.testing.assert_allclose(found, reference(encoder, texts), atol=1e-5)


def test_many_texts_with_the_same_beginnings_equal_open_clips() -> None:
    words, choice = ["a", "red", "dog", "two"], np.random.default_rng(0)
    encoder = load_encoder("tiny-clip/none", device="cpu")
    texts = [" ".join(choice.choice(words, choice.integers(0, 24))) for _ in range(100)]
    np.testing.assert_allclose(encoder.encode_texts(texts), reference(encoder, texts), atol=1e-5)


def test_a_tower_without_word_tokens_is_named() -> None:
    model = torch.nn.Module()
    model.text = torch.nn.Linear(1, 1)
    with pytest.raises(ModelError, match="no word tokens"):
        TextTower(model, [0], None).with_tokens(torch.zeros(1, 4, dtype=torch.long))
