"""The examples in the table of model specs, loaded as they are written there.

Small models stand in for those on the hub, in a cache as if they had been downloaded.
"""

import re
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import open_clip
import pytest
from safetensors.torch import save_file

from itr_core import DualEncoder, load_encoder
from itr_core.encoders import checkpoints
from tests.encoders.hub_cache import HubCache
from tests.encoders.test_towers import write_image_weights, write_sentence_encoder
from tests.encoders.test_transformers_model import write_model

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sources-and-models.md"
EXAMPLES = re.findall(r"^\| `[^|]*` \| `([^|`]+)` \|", PAGE.read_text().split("## Models")[1], re.MULTILINE)


def write_checkpoint(folder: Path) -> Path:
    small = load_encoder("picturebook-vit/none", device="cpu")
    checkpoints.save(folder, small.model, small.tokenizer, small.config)
    return folder


def clip_in_cache(repository: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        HubCache(folder / "hub").add(repository, write_model("CLIP", folder / "clip"))

    return prepare


def towers_in_cache(folder: Path) -> None:
    hub = HubCache(folder / "hub")
    hub.add("sentence-transformers/all-MiniLM-L6-v2", write_sentence_encoder(folder / "text"))
    (folder / "image").mkdir()
    write_image_weights(folder / "image" / "model.safetensors", "mobilenetv2_100")
    hub.add("timm/mobilenetv2_100.ra_in1k", folder / "image")


def weights_file(folder: Path) -> None:
    state = load_encoder("picturebook-vit/none", device="cpu").model.state_dict()
    save_file(state, folder / "weights.safetensors")


PREPARE: dict[str, Callable[[Path], object]] = {
    "starter:infonce": lambda folder: None,
    "picturebook-vit/none": lambda folder: None,
    "picturebook-vit/weights.safetensors": weights_file,
    "hf-hub:timm/ViT-B-16-SigLIP2": lambda folder: HubCache(folder / "hub").add(
        "timm/ViT-B-16-SigLIP2", write_checkpoint(folder / "model")
    ),
    "transformers:openai/clip-vit-base-patch32": clip_in_cache("openai/clip-vit-base-patch32"),
    "sentence-transformers:sentence-transformers/clip-ViT-B-32": clip_in_cache(
        "sentence-transformers/clip-ViT-B-32"
    ),
    "towers:timm:mobilenetv2_100+hf:sentence-transformers/all-MiniLM-L6-v2": towers_in_cache,
    "local-dir:runs/mine": lambda folder: write_checkpoint(folder / "runs" / "mine"),
}


def test_every_spec_has_a_tested_example() -> None:
    assert {*EXAMPLES} == {*PREPARE, "ViT-B-32/openai"}
    assert ("ViT-B-32", "openai") in open_clip.list_pretrained()  # 600 MB, so it is not loaded here


@pytest.mark.parametrize("spec", PREPARE)
def test_an_example_is_loaded(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PREPARE[spec](tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    encoder = load_encoder(spec, device="cpu")
    assert isinstance(encoder, DualEncoder)
    assert encoder.spec.startswith(spec)
    assert encoder.encode_texts(["a dog"]).shape == (1, encoder.dim)
