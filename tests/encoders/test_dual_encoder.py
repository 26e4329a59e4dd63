"""Model specs, image towers, and the encoder's methods."""

import copy
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional as F
from torchvision.transforms import Compose, RandomHorizontalFlip
from torchvision.transforms.functional import pil_to_tensor

from itr_core import DualEncoder, load_encoder
from itr_core.encoders import Encoder
from itr_core.encoders.limits import limit_aspect_ratio
from itr_core.encoders.preprocessing import split_transform
from itr_core.errors import ModelError

TEXT = {"context_length": 16, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
TIMM: dict[str, Any] = {"timm_model_name": "mobilenetv2_100", "timm_proj": "linear", "image_size": 64}
TOWERS: dict[str, dict[str, Any]] = {
    "vit": VIT,
    "vit-average": VIT | {"pool_type": "avg", "final_ln_after_pool": True},
    "mobilenet": TIMM,
    "timm-mlp": TIMM
    | {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "mlp", "image_size": 160},
    "timm-average": TIMM | {"timm_model_name": "test_vit2", "image_size": 160},
    "convnext": TIMM | {"timm_model_name": "test_convnext"},
    "channels-last": TIMM | {"timm_model_name": "swin_tiny_patch4_window7_224", "image_size": 224},
    "map-pooled": TIMM
    | {"timm_model_name": "test_vit3", "timm_pool": "map", "timm_proj": "none", "image_size": 160},
    "resnet": {"layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "image_size": 64},
    "attention-pool": TIMM | {"timm_pool": "abs_attn", "timm_proj": "", "image_size": 224},
}
SPLIT = ["vit", "vit-average", "mobilenet", "timm-mlp", "timm-average", "convnext", "channels-last", "resnet"]
IMAGES = [
    Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 60).convert("RGB"),
    Image.radial_gradient("L"),
    Image.linear_gradient("L").convert("CMYK"),
]


@pytest.fixture(scope="module", autouse=True)
def _architectures(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("configs")
    for name, vision in TOWERS.items():
        config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": TEXT}
        (folder / f"small-{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


@pytest.fixture(scope="module")
def encoder(_architectures: None) -> DualEncoder:
    return load_encoder("small-vit/none", device="cpu")


@pytest.mark.parametrize("name", TOWERS)
def test_image_embeddings_equal_open_clips(name: str) -> None:
    encoder = load_encoder(f"small-{name}/none", device="cpu")
    pixels = torch.stack([encoder.preprocess(image) for image in IMAGES])
    with torch.inference_mode():
        expected = F.normalize(encoder.model.encode_image(pixels), dim=-1).numpy()
    found = encoder.encode_images(iter(IMAGES), batch_size=2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("image", IMAGES)
def test_prepared_pixels_and_the_image_have_the_same_embedding(
    encoder: DualEncoder, image: Image.Image
) -> None:
    pixels = encoder.prepare(image)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, 32, 32)
    prepared = encoder.normalise(torch.from_numpy(pixels)[None] / 255)[0]
    torch.testing.assert_close(prepared, encoder.preprocess(image), atol=1e-6, rtol=0)
    np.testing.assert_array_equal(encoder.encode_images([pixels]), encoder.encode_images([image]))


@pytest.mark.parametrize("resize", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("size", [32, (32, 48)])
def test_a_transform_is_split_before_it_makes_floats(resize: str, size: int | tuple[int, int]) -> None:
    transform = image_transform(size, is_train=False, resize_mode=resize)
    steps = split_transform(transform)
    pixels = pil_to_tensor(steps.resize(IMAGES[0]))
    assert pixels.dtype == torch.uint8
    torch.testing.assert_close(steps.normalise(pixels / 255), transform(IMAGES[0]))


@pytest.mark.parametrize("change", ["another step", "no normalisation", "another order"])
def test_a_transform_with_unexpected_steps_is_named(change: str) -> None:
    steps = list(image_transform(32, is_train=False).transforms)
    if change == "another step":
        steps.insert(1, RandomHorizontalFlip())
    elif change == "no normalisation":
        steps.pop()
    else:
        steps.insert(0, steps.pop(-2))
    with pytest.raises(ModelError, match=r"unexpected steps \(.*CenterCrop.*Install open_clip_torch"):
        split_transform(Compose(steps))


def test_preprocessing_adds_no_modules_to_the_encoder(encoder: DualEncoder) -> None:
    assert [name for name, _ in encoder.named_children()] == ["model"]


@pytest.mark.parametrize("name", SPLIT)
def test_trunk_and_projection_give_the_embedding(name: str) -> None:
    encoder = load_encoder(f"small-{name}/none", device="cpu")
    features = encoder.image_features(IMAGES, batch_size=2)
    assert len(features) == 3
    projected = F.normalize(encoder.project(torch.from_numpy(features)), dim=-1)
    assert projected.requires_grad
    np.testing.assert_allclose(projected.detach().numpy(), encoder.encode_images(IMAGES), atol=1e-5)


@pytest.mark.parametrize("name", ["attention-pool", "map-pooled"])
def test_a_tower_that_cannot_be_split_is_named(name: str) -> None:
    with pytest.raises(ModelError, match="cannot be split before its last projection"):
        load_encoder(f"small-{name}/none", device="cpu").image_features(IMAGES)


@pytest.mark.parametrize(
    ("name", "count"), [("vit", 16), ("vit-average", 16), ("mobilenet", 4), ("resnet", 4)]
)
def test_patch_tokens(name: str, count: int) -> None:
    encoder = load_encoder(f"small-{name}/none", device="cpu")
    pooled, patches = encoder.encode_images(IMAGES, tokens=True)
    assert patches.shape == (3, count, 32)
    np.testing.assert_allclose(pooled, encoder.encode_images(IMAGES), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=-1), 1, atol=1e-5)


def test_patch_tokens_of_average_pooling_average_to_the_image() -> None:
    encoder = load_encoder("small-mobilenet/none", device="cpu")
    pixels = torch.stack([encoder.preprocess(image) for image in IMAGES])
    out = encoder(pixels, encoder.tokenizer(["a", "b", "c"]), tokens=True)
    torch.testing.assert_close(out.image_tokens.mean(1), out.image, atol=1e-5, rtol=1e-4)


IN_ORDER = ["vit", "convnext", "channels-last", "resnet", "timm-mlp", "timm-average", "map-pooled"]


@pytest.mark.parametrize("name", IN_ORDER)
def test_patch_tokens_are_in_reading_order(name: str) -> None:
    encoder = load_encoder(f"small-{name}/none", device="cpu")
    side = TOWERS[name]["image_size"]
    plain = Image.new("RGB", (side, side), "grey")
    marked = plain.copy()
    marked.paste("red", (side // 2, 0, side, side // 2))  # top right
    _, patches = encoder.encode_images([plain, marked], tokens=True)
    grid = round(patches.shape[1] ** 0.5)
    changed = np.linalg.norm(patches[1] - patches[0], axis=-1).reshape(grid, grid)
    half = grid // 2
    assert changed[:half, -half:].mean() > 1.1 * changed[-half:, :half].mean()


def test_a_tower_without_patch_tokens_is_named() -> None:
    with pytest.raises(ModelError, match="no patch tokens"):
        load_encoder("small-attention-pool/none", device="cpu").encode_images(IMAGES, tokens=True)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]
)
def test_images_of_any_mode_are_encoded(encoder: DualEncoder, mode: str) -> None:
    vector = encoder.encode_images([Image.new(mode, (40, 30))])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_images_of_any_size_are_encoded(encoder: DualEncoder) -> None:
    sizes = [(1, 1), (20_000, 1), (1, 20_000), (3, 4000), (33, 32)]
    assert encoder.encode_images([Image.new("RGB", size, "teal") for size in sizes]).shape == (5, 32)


def test_cropping_a_long_image_hardly_changes_its_pixels(encoder: DualEncoder) -> None:
    strip = Image.linear_gradient("L").resize((40, 1200)).convert("RGB")
    assert limit_aspect_ratio(strip).size == (40, 320)
    assert limit_aspect_ratio(strip.rotate(90, expand=True)).size == (320, 40)
    difference = encoder.preprocess(strip) - encoder.preprocess(limit_aspect_ratio(strip))
    assert difference.abs().max() < 0.02


def test_empty_input_gives_empty_arrays(encoder: DualEncoder) -> None:
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, 32)
    assert [part.shape for part in encoder.encode_texts([], tokens=True)] == [(0, 32), (0, 0, 32), (0, 0)]
    assert [part.shape for part in encoder.encode_images([], tokens=True)] == [(0, 32), (0, 0, 32)]
    with pytest.raises(TypeError, match="list of texts"):
        encoder.encode_texts("a dog")


def test_forward_from_pixels_equals_forward_from_features(encoder: DualEncoder) -> None:
    ids = encoder.tokenizer(["a dog", "two red cars", "night"])
    pixels = torch.stack([encoder.preprocess(image) for image in IMAGES])
    whole = encoder(image=pixels, text=ids, tokens=True)
    cached = encoder(image_features=torch.from_numpy(encoder.image_features(IMAGES)), text=ids)
    torch.testing.assert_close(whole.image, cached.image, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(whole.text, cached.text, atol=1e-5, rtol=1e-4)
    assert whole.logit_scale.item() == pytest.approx(1 / 0.07, rel=1e-4)
    assert whole.image_tokens.shape == (3, 16, 32)
    assert whole.text_tokens.shape == (3, 5, 32)
    assert whole.text_mask.sum(1).tolist() == [2, 3, 1]
    assert cached.image_tokens is None
    (whole.image.sum() + whole.text.sum() + whole.image_tokens.sum() + whole.text_tokens.sum()).backward()
    idle = [name for name, weight in encoder.model.named_parameters() if weight.grad is None]
    assert idle == ["logit_scale"]
    encoder.zero_grad()
    for wrong in ({"text": ids}, {"image": pixels}, {"image": pixels, "image_features": pixels, "text": ids}):
        with pytest.raises(ValueError, match="exactly one"):
            encoder(**wrong)


def test_encoding_restores_the_mode_of_every_module() -> None:
    encoder = load_encoder("small-mobilenet/none", device="cpu")
    before, vectors = copy.deepcopy(encoder.model.state_dict()), encoder.encode_images(IMAGES)
    encoder.train()
    encoder.model.visual.trunk.bn1.eval()
    np.testing.assert_array_equal(encoder.encode_images(IMAGES), vectors)
    assert encoder.training
    assert encoder.model.visual.trunk.training
    assert not encoder.model.visual.trunk.bn1.training
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_copy_has_its_own_weights(encoder: DualEncoder) -> None:
    twin = copy.deepcopy(encoder)
    with torch.no_grad():
        twin.model.token_embedding.weight.zero_()
    assert not np.allclose(twin.encode_texts(["dog"]), encoder.encode_texts(["dog"]))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_changes_embeddings_little(encoder: DualEncoder, dtype: str) -> None:
    low = load_encoder("small-vit/none", device="cpu", dtype=dtype)
    assert low.fingerprint == encoder.fingerprint
    for ours, exact in (
        (low.encode_images(IMAGES), encoder.encode_images(IMAGES)),
        (low.encode_texts(["a dog", "night"]), encoder.encode_texts(["a dog", "night"])),
    ):
        assert ours.dtype == np.float32
        assert (ours * exact).sum(1).min() > 0.99
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_random_weights_depend_on_the_seed_and_leave_the_global_one_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one = load_encoder("small-vit/none", device="cpu").fingerprint
    assert torch.equal(torch.rand(1), expected)
    assert one == load_encoder("small-vit/none", device="cpu", seed=0).fingerprint
    assert one != load_encoder("small-vit/none", device="cpu", seed=1).fingerprint


def test_fingerprint_depends_on_every_weight(encoder: DualEncoder) -> None:
    twin = load_encoder("small-vit/none", device="cpu")
    with torch.no_grad():
        twin.model.ln_final.bias[3] += 1e-6
    assert twin.fingerprint != encoder.fingerprint


def test_weights_are_loaded_from_a_file(encoder: DualEncoder, tmp_path: Path) -> None:
    other = load_encoder("small-vit/none", device="cpu", seed=3)
    save_file(other.model.state_dict(), tmp_path / "weights.safetensors")
    loaded = load_encoder(f"small-vit/{tmp_path / 'weights.safetensors'}", device="cpu")
    assert loaded.fingerprint == other.fingerprint
    with pytest.raises(ModelError, match="must contain the weights of a small-mobilenet"):
        load_encoder(f"small-mobilenet/{tmp_path / 'weights.safetensors'}")
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="Cannot load"):
        load_encoder(f"small-vit/{tmp_path / 'broken.safetensors'}")


def test_image_weights_are_loaded_into_the_trunk(tmp_path: Path) -> None:
    donor = load_encoder("small-mobilenet/none", device="cpu", seed=5)
    file = tmp_path / "trunk.safetensors"
    trunk = donor.model.visual.trunk.state_dict()
    save_file({name: value.contiguous() for name, value in trunk.items()}, file)
    encoder = load_encoder("small-mobilenet/none", device="cpu", image_weights=file)
    np.testing.assert_array_equal(encoder.image_features(IMAGES), donor.image_features(IMAGES))
    with pytest.raises(ModelError, match="must match the tower"):
        load_encoder("small-vit/none", device="cpu", image_weights=file)


def test_options_set_normalisation_and_resizing() -> None:
    strip = Image.new("RGB", (64, 32), "white")
    strip.paste("black", (0, 0, 16, 32))  # a centre crop would discard it
    encoder = load_encoder("small-vit/none", device="cpu", pixel_norm="inception", resize="squash")
    pixels = encoder.preprocess(strip)
    assert pixels[:, :, 0].unique().tolist() == [-1]
    assert pixels[:, :, -1].unique().tolist() == [1]
    with pytest.raises(ModelError, match="Did you mean 'inception'"):
        load_encoder("small-vit/none", device="cpu", pixel_norm="incepton")
    with pytest.raises(ModelError, match="Did you mean 'squash'"):
        load_encoder("small-vit/none", device="cpu", resize="squish")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ViT-B-23/openai", "Did you mean 'ViT-B-32'"),
        ("ViT-B-32", r"ViT-B-32/none \(random\)"),
        ("ViT-B-32/opnai", "Did you mean 'openai'"),
        ("ViT-B-32/missing.safetensors", "No weights file"),
        ("starter:infonse", "No starter model 'infonse'"),
        ("local-dir:/nowhere", "no checkpoint folder"),
        ("nonsense", "starter:METHOD, NAME/PRETRAINED"),
        ("weird:thing", "hf-hub:ORG/REPO"),
        ("hf-hub:no/such", "check name and network"),
        ("", "No model ''"),
    ],
)
def test_unusable_specs_are_named(spec: str, message: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError, match=message):
        load_encoder(spec)
    assert caplog.records == []
    assert logging.root.manager.disable == logging.NOTSET


def test_what_a_program_logs_is_as_before_a_model_was_loaded() -> None:
    logging.disable(logging.CRITICAL)
    try:
        load_encoder("small-vit/none", device="cpu")
        assert logging.root.manager.disable == logging.CRITICAL
    finally:
        logging.disable(logging.NOTSET)


def test_a_dual_encoder_is_an_encoder(encoder: DualEncoder) -> None:
    implemented: Encoder = encoder  # checked by mypy; here: no member is missing
    members = [name for name in vars(Encoder) if not name.startswith("_")]
    assert len(members) == 9
    assert [name for name in members if not hasattr(implemented, name)] == []
    assert implemented.resize_mode == "shortest"
    assert load_encoder("small-vit/none", device="cpu", resize="squash").resize_mode == "squash"


def test_weights_of_a_tag_need_a_network() -> None:
    with pytest.raises(ModelError, match="downloaded on first use, which needs a network"):
        load_encoder("ViT-B-32/laion2b_s34b_b79k")


@pytest.mark.parametrize("option", [{"device": "abacus"}, {"device": "cuda:99"}, {"dtype": "float8"}])
def test_unusable_options_are_named(option: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(option.values()))):
        load_encoder("small-vit/none", **option)


@pytest.mark.parametrize("name", ["picturebook-vit", "mobilenetv2-mini"])
def test_architectures_of_pairscope_encode(name: str) -> None:
    encoder = load_encoder(f"{name}/none", device="cpu")
    assert (
        encoder.encode_texts(["a dog"]).shape == encoder.encode_images(IMAGES[:1]).shape == (1, encoder.dim)
    )
