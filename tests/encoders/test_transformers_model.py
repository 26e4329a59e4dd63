"""Models of transformers with two towers: equal to what transformers computes, and safe to load."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from typer.testing import CliRunner

from itr_core import Gallery, Searcher, evaluate, load_encoder, load_pairs, train
from itr_core.errors import ModelError
from tests.encoders.hub_cache import COMMIT, HubCache, write_tokenizer
from ui.cli import app

TEXTS = ["a red sky", "low ground", "red " * 100, ""]
IMAGES = [
    Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 60).convert("RGB"),
    Image.radial_gradient("L").convert("RGB"),
]
WORDS = ["a", "red", "green", "blue", "yellow", "sky", "over", "low", "high", "ground"]
TEXT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "vocab_size": 20, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
SIZES = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
SQUARE = {"size": {"height": 32, "width": 32}}
LAYOUTS: dict[str, dict[str, Any]] = {
    "CLIP": {"text": {"eos_token_id": 3}, "vision": {}, "image": SIZES},
    "CLIP-legacy": {"text": {"eos_token_id": 2}, "vision": {}, "image": SIZES},
    "Siglip": {"text": {}, "vision": {}, "image": SQUARE},
    "Siglip2": {"text": {}, "vision": {"num_patches": 16}, "image": {"patch_size": 8, "max_num_patches": 20}},
    "MetaClip2": {"text": {"eos_token_id": 3}, "vision": {}, "image": SIZES},
    "AltCLIP": {"text": {"project_dim": 32, "max_position_embeddings": 40}, "vision": {}, "image": SIZES},
}
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}


def write_model(layout: str, folder: Path) -> Path:
    """Let transformers write a small model with random weights, its image processor and a tokenizer."""
    settings, name = LAYOUTS[layout], layout.partition("-")[0]
    vision = VISION | settings["vision"]
    if name == "Siglip2":
        del vision["image_size"]
    joint = {} if name.startswith("Siglip") else {"projection_dim": 24}
    config = getattr(transformers, f"{name}Config")(
        text_config=TEXT | settings["text"], vision_config=vision, **joint
    )
    torch.manual_seed(0)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    processor = name if name.startswith("Siglip") else "CLIP"
    getattr(transformers, f"{processor}ImageProcessor")(**settings["image"]).save_pretrained(folder)
    special, template = SPECIAL, "<s> $A </s>"
    if (
        layout == "CLIP-legacy"
    ):  # the highest id is the end token, and padding is the end token, as in OpenAI's
        special, template = {"bos_token": "<s>"}, "<s> $A zzz"
        write_tokenizer(folder, [*WORDS, "zzz"], special=special, template=template, pad_token="zzz")
    elif name == "AltCLIP":
        write_tokenizer(folder, WORDS, special=SPECIAL, template=template, model_max_length=512)
    else:
        write_tokenizer(folder, WORDS, special=SPECIAL, template=template)
    return folder


@pytest.fixture(scope="module", params=LAYOUTS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_model("CLIP", tmp_path / "clip")


def expected(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Encode as the documentation of transformers does."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    length = network.config.text_config.max_position_embeddings
    siglip = network.config.model_type.startswith("siglip")
    inputs = tokenizer(
        TEXTS, padding="max_length" if siglip else True, truncation=True, return_tensors="pt",
        max_length=length - 2 if network.config.model_type == "altclip" else length,
    )  # fmt: skip
    mask = {} if siglip else {"attention_mask": inputs.attention_mask}
    images = transformers.AutoImageProcessor.from_pretrained(folder)(IMAGES, return_tensors="pt")
    with torch.inference_mode():
        text = network.get_text_features(input_ids=inputs.input_ids, **mask).pooler_output
        image = network.get_image_features(**images).pooler_output
    return F.normalize(text, dim=-1).numpy(), F.normalize(image, dim=-1).numpy()


def test_embeddings_equal_those_of_transformers(model: Path) -> None:
    text, image = expected(model)
    encoder = load_encoder(f"transformers:{model}", device="cpu")
    assert encoder.dim == text.shape[1]
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), text, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[:1]), text[:1], atol=1e-5)
    # transformers resizes tensors, not PIL images: pixels differ by one level of 255 or two.
    np.testing.assert_allclose(encoder.encode_images(IMAGES), image, atol=2e-3)
    np.testing.assert_allclose(
        encoder.encode_images([encoder.prepare(each) for each in IMAGES]), encoder.encode_images(IMAGES)
    )
    kept, lost = encoder.split_at_context(TEXTS[2])
    assert kept + lost == TEXTS[2]
    assert kept.strip()
    assert lost.strip()


def test_a_model_is_built_searched_and_evaluated(model: Path, world: Path, tmp_path: Path) -> None:
    encoder = load_encoder(f"transformers:{model}", device="cpu")
    pairs = load_pairs(f"folder:{world}", limit=6)
    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery")
    assert gallery.manifest.model == f"transformers:{model}"
    searcher = Searcher(gallery, load_encoder(gallery.manifest.model, device="cpu"))
    assert searcher.search_image(pairs.image(4), k=1, of="images")[0].item_id == pairs[4].image_id
    assert len(searcher.search_text("a red sky", k=6)) == 6
    assert 0 <= evaluate(encoder, pairs)["t2i_r1"] <= 100


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_processor_of_the_new_layout_is_read(clip: Path) -> None:
    before = load_encoder(f"transformers:{clip}", device="cpu").encode_images(IMAGES)
    image = json.loads((clip / "preprocessor_config.json").read_text())
    (clip / "preprocessor_config.json").unlink()
    (clip / "processor_config.json").write_text(json.dumps({"image_processor": image}))
    after = load_encoder(f"transformers:{clip}", device="cpu").encode_images(IMAGES)
    np.testing.assert_array_equal(before, after)


def test_siglip_is_given_lower_case(tmp_path: Path) -> None:
    folder = write_model("Siglip", tmp_path / "siglip")
    encoder = load_encoder(f"transformers:{folder}", device="cpu")
    assert encoder.tokenizer(["red"]).shape == (1, 64)
    np.testing.assert_array_equal(*encoder.encode_texts(["A Red sky", "a red SKY"])[:, None])
    change(folder / "tokenizer_config.json", tokenizer_class="SiglipTokenizer")  # also removes punctuation
    encoder = load_encoder(f"transformers:{folder}", device="cpu")
    np.testing.assert_array_equal(*encoder.encode_texts(["A red, sky!", "a red sky"])[:, None])


def test_weights_in_several_files_are_read(clip: Path) -> None:
    before = load_encoder(f"transformers:{clip}", device="cpu").fingerprint
    weights = load_file(clip / "model.safetensors")
    (clip / "model.safetensors").unlink()
    names = {name: f"model-0000{index % 2}.safetensors" for index, name in enumerate(weights)}
    for file in set(names.values()):
        save_file({name: weights[name] for name in weights if names[name] == file}, clip / file)
    index = clip / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    assert load_encoder(f"transformers:{clip}", device="cpu").fingerprint == before
    index.write_text(json.dumps({"weight_map": {"logit_scale": "../../clip/model-00000.safetensors"}}))
    with pytest.raises(ModelError, match="names a file that is no"):
        load_encoder(f"transformers:{clip}", device="cpu")


def test_a_hub_repository_is_pinned_to_its_commit(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = HubCache(clip.parent / "hub")
    hub.add("some/model", clip)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub.folder))
    for spec in ("transformers:some/model", f"transformers:some/model@{COMMIT}"):
        assert load_encoder(spec, device="cpu").spec == f"transformers:some/model@{COMMIT}"
    with pytest.raises(ModelError, match="no/such-model has no config"):
        load_encoder("transformers:no/such-model", device="cpu")


def test_commands_take_the_spec(clip: Path, world: Path, tmp_path: Path) -> None:
    model, source = f"transformers:{clip}", f"folder:{world}"
    gallery = str(tmp_path / "gallery")
    build = ["build", source, "--model", model, "--out", gallery, "--limit", "6", "--no-map"]
    commands = (
        build,
        ["search", gallery, "a red sky"],
        ["analyze", gallery, "--json"],
        ["evaluate", "--model", model, "--source", source, "--limit", "6", "--json"],
    )
    for command in commands:
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (command, result.output)


@pytest.mark.parametrize("prefix", ["", "local-dir:"])
def test_the_scheme_of_a_folder_is_suggested(clip: Path, prefix: str) -> None:
    with pytest.raises(ModelError, match=f"Perhaps you mean transformers:{clip}"):
        load_encoder(f"{prefix}{clip}")


def test_it_is_not_trained(clip: Path, world: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="for search and evaluation, not for training"):
        train(
            "infonce", f"folder:{world}", model=f"transformers:{clip}", out=tmp_path / "run", progress=False
        )


# ---- models of strangers

EVIL = {
    "AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": [None, "evil.Tokenizer"],
    "AutoImageProcessor": "evil.Processor",
}  # fmt: skip


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
def test_what_needs_custom_code_is_refused(clip: Path, file: str) -> None:
    (clip / "evil.py").write_text(f"open({str(clip / 'ran')!r}, 'w')")
    change(clip / file, auto_map=EVIL)
    with pytest.raises(ModelError, match=f"{file}.*custom code"):
        load_encoder(f"transformers:{clip}", device="cpu")
    assert not (clip / "ran").exists()


def test_settings_that_make_transformers_load_more_are_left_out(clip: Path) -> None:
    before = load_encoder(f"transformers:{clip}", device="cpu")
    text = json.loads((clip / "config.json").read_text())["text_config"]
    kernels = {"attn_implementation": "stranger/kernels", "_attn_implementation": "stranger/kernels"}
    change(
        clip / "config.json", **kernels, text_config=text | kernels, torchscript=True,
        quantization_config={"quant_method": "awq"}, _name_or_path="stranger/model",
    )  # fmt: skip
    after = load_encoder(f"transformers:{clip}", device="cpu")
    np.testing.assert_array_equal(before.encode_texts(TEXTS), after.encode_texts(TEXTS))


@pytest.mark.parametrize(
    ("tower", "key", "value"),
    [
        ("text_config", "num_hidden_layers", 10**6),
        ("text_config", "vocab_size", 10**10),
        ("text_config", "hidden_act", "../../gelu"),
        ("text_config", "layer_norm_eps", "1e-5"),
        ("vision_config", "hidden_size", 10**9),
        ("vision_config", "image_size", 10**6),
        ("vision_config", "patch_size", 0),
    ],
)
def test_settings_out_of_bounds_are_named(clip: Path, tower: str, key: str, value: Any) -> None:
    config = json.loads((clip / "config.json").read_text())
    change(clip / "config.json", **{tower: config[tower] | {key: value}})
    with pytest.raises(ModelError, match=key):
        load_encoder(f"transformers:{clip}", device="cpu")


def large_vocabulary(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    large = config["text_config"] | {"vocab_size": 2_000_000, "hidden_size": 16_384}
    change(folder / "config.json", text_config=large)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (large_vocabulary, r"describes a model of \d\d,\d+,\d+,\d+ weights"),
        (pickled, "Pickled weights"),
        (without_a_weight, r"1 weights are missing.*text_projection"),
        (lambda folder: change(folder / "config.json", model_type="llama"), "model_type = 'llama'"),
        (lambda folder: (folder / "config.json").unlink(), r"has no config\.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"has no tokenizer\.json"),
        (lambda folder: change(folder / "preprocessor_config.json", crop_size=16), "cropped to"),
        (lambda folder: change(folder / "preprocessor_config.json", do_normalize=False), "do_normalize"),
    ],
)
def test_a_model_that_cannot_be_used_is_explained(
    clip: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(clip)
    with pytest.raises(ModelError, match=message):
        load_encoder(f"transformers:{clip}", device="cpu")
