"""Every family of architectures in open_clip: loaded, encoded, searched and trained as open_clip does it.

The architectures are open_clip's own with small towers and random weights. Their tokenizers and the
configurations of Hugging Face text towers are on the hub; here small ones stand in for them, with the special
tokens and the padding of the real ones.
"""

import json
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from itr_core import DualEncoder, Gallery, Searcher, load_encoder, load_pairs, train
from itr_core.encoders import checkpoints
from itr_core.errors import ModelError
from tests.encoders.hub_cache import HubCache, write_tokenizer

TEXTS = ["A red sky, over low ground!", "green land", "yellow " * 200]
IMAGES = [
    Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 60).convert("RGB"),
    Image.radial_gradient("L").convert("RGB"),
]
WORDS = ["a", "red", "green", "blue", "yellow", "sky", "over", "low", "ground", "A", "sky,", "ground!"]

VIT = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"width": 32, "heads": 2, "layers": 2}
HF_TEXT: dict[str, Any] = {"context_length": 20}
SIGLIP = {"timm_model_name": "test_vit3", "image_size": 160}  # pooled by attention, as SigLIP's
FAMILIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "siglip": ("ViT-B-16-SigLIP", SIGLIP, TEXT | {"vocab_size": 60}),
    "siglip2": ("ViT-B-16-SigLIP2", SIGLIP, TEXT | {"vocab_size": 60}),
    "mobileclip2": ("MobileCLIP2-S0", {"image_size": 64}, TEXT),
    "pe": ("PE-Core-T-16-384", {}, TEXT),
    "coca": ("coca_ViT-B-32", VIT | {"attn_pooler_heads": 2}, TEXT),
    "eva": ("EVA02-B-16", {"timm_model_name": "eva02_tiny_patch14_224"}, TEXT),
    "vitamin": ("ViTamin-S", {}, TEXT),
    "clipa": ("ViT-L-14-CLIPA", VIT, TEXT | {"vocab_size": 60}),
    "nllb": ("nllb-clip-base", VIT, HF_TEXT),
    "roberta": ("roberta-ViT-B-32", VIT, HF_TEXT),
    "xlm-roberta": ("xlm-roberta-base-ViT-B-32", VIT, HF_TEXT),
    "mt5": ("mt5-base-ViT-B-32", VIT, HF_TEXT),
    "convnext": ("convnext_base", {"timm_model_name": "test_convnext", "image_size": 64}, TEXT),
    "quickgelu": ("ViT-B-32-quickgelu", VIT, TEXT),
}
WITHOUT_WORD_TOKENS = {"clipa"}
WITHOUT_PATCH_TOKENS = {"coca"}
LARGE = ("vitamin", "pe", "eva")  # timm has no small towers of these families
BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
HF_CONFIGS: dict[str, dict[str, Any]] = {
    "facebook/nllb-200-distilled-600M": {
        "model_type": "m2m_100", "d_model": 32, "encoder_layers": 2, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48, "vocab_size": 60, "max_position_embeddings": 64, "pad_token_id": 1,
    },
    "roberta-base": BERT | {"model_type": "roberta", "vocab_size": 60, "max_position_embeddings": 90},
    "xlm-roberta-base": BERT | {"model_type": "xlm-roberta", "vocab_size": 60, "max_position_embeddings": 90},
    "google/mt5-base": {
        "model_type": "mt5", "d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2,
        "vocab_size": 60, "pad_token_id": 0,
    },
}  # fmt: skip
ROBERTA = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>"}
TOKENIZERS: dict[str, dict[str, Any]] = {
    "timm/ViT-B-16-SigLIP": {
        "special": {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "</s>"}, "template": "$A </s>",
    },
    "timm/ViT-B-16-SigLIP2": {
        "special": {"pad_token": "<pad>", "eos_token": "<eos>"}, "template": "$A <eos>",
    },
    "bert-base-uncased": {
        "special": {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
        "template": "[CLS] $A [SEP]",
    },
    "facebook/nllb-200-distilled-600M": {
        "special": ROBERTA, "template": "eng_Latn $A </s>", "tokenizer_class": "NllbTokenizer",
        "extra_special_tokens": ["eng_Latn", "fra_Latn"],
    },
    "roberta-base": {"special": ROBERTA, "template": "<s> $A </s>"},
    "xlm-roberta-base": {"special": ROBERTA, "template": "<s> $A </s>"},
    "google/mt5-base": {"special": {"pad_token": "<pad>", "eos_token": "</s>"}, "template": "$A </s>"},
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _hub(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Small tokenizers and text towers in place of those on the hub, and the small architectures."""
    hub = HubCache(tmp_path_factory.mktemp("hub"))
    for name in TOKENIZERS | HF_CONFIGS:
        files = tmp_path_factory.mktemp("files")
        write_tokenizer(files, [*WORDS, "eng_Latn", "fra_Latn"], **TOKENIZERS[name])
        (files / "config.json").write_text(json.dumps(HF_CONFIGS.get(name, {})))
        hub.add(name, files)
    folder = tmp_path_factory.mktemp("architectures")
    for family, (name, vision, text) in FAMILIES.items():
        config = open_clip.get_model_config(name)
        config["embed_dim"] = 96 if vision == SIGLIP else 32  # of test_vit3, as SigLIP does not project it
        config["vision_cfg"] |= vision
        config["text_cfg"] |= text
        if "multimodal_cfg" in config:
            config["multimodal_cfg"] |= TEXT | {"attn_pooler_heads": 2}
        (folder / f"small-{family}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub.folder))
        yield


def saved(family: str, folder: Path) -> DualEncoder:
    """Write a checkpoint of a family with random weights, and load it."""
    fresh = load_encoder(f"small-{family}/none", device="cpu")
    checkpoints.save(folder, fresh.model, fresh.tokenizer, fresh.config)
    return load_encoder(str(folder), device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_equal_open_clips(family: str, tmp_path: Path) -> None:
    encoder = saved(family, tmp_path / family)
    spec = f"local-dir:{tmp_path / family}"
    model, preprocess = open_clip.create_model_from_pretrained(spec)
    tokens = open_clip.get_tokenizer(spec)
    model.eval()
    with torch.inference_mode():
        text = model.encode_text(tokens(TEXTS), normalize=True)
        image = model.encode_image(torch.stack([preprocess(each) for each in IMAGES]), normalize=True)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), text, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[1:2]), text[1:2], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(IMAGES), image, atol=1e-5)
    kept, lost = encoder.split_at_context(TEXTS[2])
    assert kept + lost == TEXTS[2]
    assert kept.strip()
    assert lost.strip()
    cases: list[tuple[Any, list[Any], set[str]]] = [
        (encoder.encode_texts, [*TEXTS], WITHOUT_WORD_TOKENS),
        (encoder.encode_images, [*IMAGES], WITHOUT_PATCH_TOKENS),
    ]
    for encode, inputs, without in cases:
        if family in without:
            with pytest.raises(ModelError, match="tokens in the joint space"):
                encode(inputs, tokens=True)
        else:
            np.testing.assert_allclose(encode(inputs, tokens=True)[0], encode(inputs), atol=1e-5)


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in FAMILIES]
)
def test_a_family_is_trained_and_searched(family: str, world: Path, tmp_path: Path) -> None:
    train(
        "infonce", f"folder:{world}", model=f"small-{family}/none", out=tmp_path / "run", limit=4,
        batch_size=4, epochs=1, vocab_size=0, progress=False, device="cpu",
    )  # fmt: skip
    encoder = load_encoder(str(tmp_path / "run"), device="cpu")
    assert encoder.fingerprint != load_encoder(f"small-{family}/none", device="cpu").fingerprint
    pairs = load_pairs(f"folder:{world}", limit=4)
    searcher = Searcher(Gallery.build(pairs, encoder, tmp_path / "gallery"), encoder)
    assert len(searcher.search_text("a red sky", k=4)) == 4
    assert searcher.search_image(pairs.image(2), k=1, of="images")[0].item_id == pairs[2].image_id


@pytest.mark.parametrize("family", ["siglip", "siglip2"])
def test_siglip_pads_to_its_context_and_ignores_case_and_punctuation(family: str, tmp_path: Path) -> None:
    encoder = saved(family, tmp_path / family)
    assert encoder.tokenizer(["red"]).shape == (1, 64)
    one, other = encoder.encode_texts(["A red sky, over low ground!", "a red sky over low ground"])
    np.testing.assert_array_equal(one, other)
    assert encoder.model.logit_bias.item() == -10
    # It pools the last position, which is padding: a shorter context would give another embedding.
    shorter = encoder.model.encode_text(encoder.tokenizer(["red"], 32), normalize=True)
    assert np.abs(shorter.detach().numpy() - encoder.encode_texts(["red"])).max() > 1e-3


def test_the_branches_of_mobileclip_are_merged_for_serving(tmp_path: Path) -> None:
    encoder = saved("mobileclip2", tmp_path / "model")
    before, weights = encoder.encode_images(IMAGES), sum(weight.numel() for weight in encoder.parameters())
    fused = load_encoder(str(tmp_path / "model"), device="cpu").fuse()
    assert fused.fingerprint == encoder.fingerprint
    assert sum(weight.numel() for weight in fused.parameters()) < weights
    assert not any(name.endswith("conv_kxk") for name, _ in fused.named_modules())
    np.testing.assert_allclose(fused.encode_images(IMAGES), before, atol=1e-4)
    other = load_encoder("small-quickgelu/none", device="cpu")
    np.testing.assert_array_equal(other.encode_images(IMAGES), other.fuse().encode_images(IMAGES))


def test_the_language_of_nllb_can_be_set(tmp_path: Path) -> None:
    english = saved("nllb", tmp_path / "model")
    french = load_encoder(f"{tmp_path / 'model'}#fra_Latn", device="cpu")
    code = french.tokenizer.tokenizer.convert_tokens_to_ids("fra_Latn")
    assert french.tokenizer(["red sky"])[0, 0] == code != english.tokenizer(["red sky"])[0, 0]
    assert french.spec.endswith("#fra_Latn")
    assert french.fingerprint == english.fingerprint  # a gallery can be searched in every language
    assert np.abs(french.encode_texts(["red"]) - english.encode_texts(["red"])).max() > 1e-4
    with pytest.raises(ModelError, match="no language 'xxx_Xxxx'"):
        load_encoder(f"{tmp_path / 'model'}#xxx_Xxxx", device="cpu")
    with pytest.raises(ModelError, match="has no languages"):
        load_encoder("small-roberta/none#fra_Latn", device="cpu")


def test_a_folder_of_the_name_of_a_text_tower_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved("roberta", tmp_path / "model")
    (tmp_path / "roberta-base").mkdir()
    (tmp_path / "roberta-base" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    code = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}
    (tmp_path / "roberta-base" / "config.json").write_text(json.dumps(code))
    monkeypatch.chdir(tmp_path)
    assert load_encoder("model", device="cpu").dim == 32
    with pytest.raises(ModelError, match="custom code"):  # and nobody is asked for permission on the terminal
        load_encoder("small-roberta/none", device="cpu")
    assert not (tmp_path / "ran").exists()


def test_another_text_tower_is_used_once_its_configuration_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved("roberta", tmp_path / "model")
    for name in ("checksums.json", "text_tower.json"):  # as open_clip writes a checkpoint
        (tmp_path / "model" / name).unlink()
    file = tmp_path / "model" / "open_clip_config.json"
    config = json.loads(file.read_text())
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "some/tower"
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"hf download some/tower config\.json"):
        load_encoder(str(tmp_path / "model"), device="cpu")
    hub = HubCache(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub.folder))
    (tmp_path / "tower").mkdir()
    (tmp_path / "tower" / "config.json").write_text(json.dumps(HF_CONFIGS["roberta-base"]))
    hub.add("some/tower", tmp_path / "tower")
    assert load_encoder(str(tmp_path / "model"), device="cpu").dim == 32
