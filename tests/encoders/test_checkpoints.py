"""Checkpoint folders: plain open_clip loads them, and they are written atomically."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from itr_core import DualEncoder, load_encoder
from itr_core.encoders import checkpoints, tokenizer
from itr_core.encoders.heads import Heads
from itr_core.errors import ModelError

CAPTIONS = ["a brown dog runs on the beach", "two red cars by a house", "a cat, asleep under the tree"] * 10
IMAGE = Image.linear_gradient("L").convert("RGB")


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    own = tokenizer.train(CAPTIONS, vocab_size=400, context_length=32)
    return load_encoder("picturebook-vit/none", device="cpu", tokenizer=own)


def write(encoder: DualEncoder, folder: Path, **options: Any) -> None:
    checkpoints.save(folder, encoder.model, encoder.tokenizer, encoder.config, **options)


def test_plain_open_clip_loads_a_checkpoint(encoder: DualEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    write(encoder, folder, dtype="float16")
    assert (folder / "open_clip_model.safetensors").stat().st_size < 10e6
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")
    assert next(model.parameters()).dtype == torch.float32
    assert torch.equal(tokens(CAPTIONS), encoder.tokenizer(CAPTIONS))
    with torch.inference_mode():
        text = model.encode_text(tokens(CAPTIONS[:3]), normalize=True).numpy()
        image = model.eval().encode_image(preprocess(IMAGE)[None], normalize=True).numpy()
    np.testing.assert_allclose(text, encoder.encode_texts(CAPTIONS[:3]), atol=2e-3)
    np.testing.assert_allclose(image, encoder.encode_images([IMAGE]), atol=2e-3)


def test_a_float32_checkpoint_keeps_every_weight(encoder: DualEncoder, tmp_path: Path) -> None:
    write(
        encoder,
        tmp_path / "m",
        words=["dog", "beach", "dog"],
        training={"seed": 0},
        heads=Heads({"w": torch.ones(2, 3).T}),
    )
    for spec in (f"local-dir:{tmp_path / 'm'}", str(tmp_path / "m")):
        again = load_encoder(spec, device="cpu")
        assert again.fingerprint == encoder.fingerprint
        assert again.context_length == 32
    assert (tmp_path / "m" / "words.txt").read_text() == "beach\ndog\n"
    assert again.unseen_words("A dog, a zebra & a ZEBRA") == ["a", "zebra"]
    assert encoder.unseen_words("zebra") == []
    assert json.loads((tmp_path / "m" / "training.json").read_text()) == {"seed": 0}
    assert torch.equal(load_file(tmp_path / "m" / "heads.safetensors")["w"], torch.ones(3, 2))
    assert not list(tmp_path.glob(".*"))


def test_a_model_with_open_clips_default_tokenizer(tmp_path: Path) -> None:
    clip = load_encoder("picturebook-vit/none", device="cpu")
    write(clip, tmp_path / "clip")
    again = load_encoder(str(tmp_path / "clip"), device="cpu")
    np.testing.assert_array_equal(again.encode_texts(CAPTIONS[:2]), clip.encode_texts(CAPTIONS[:2]))


def test_half_precision_keeps_vectors_and_statistics_in_full(tmp_path: Path) -> None:
    mobile = load_encoder("mobilenetv2-mini/none", device="cpu")
    with torch.no_grad():
        mobile.model.visual.trunk.bn1.running_var.fill_(1e6)  # above the range of float16
    write(mobile, tmp_path / "m", dtype="float16")
    stored = load_file(tmp_path / "m" / "open_clip_model.safetensors")
    assert stored["visual.trunk.bn1.running_var"].max() == 1e6
    assert stored["visual.trunk.bn1.num_batches_tracked"].dtype == torch.int64
    assert stored["visual.head.proj.weight"].dtype == torch.float16


def test_shared_and_strided_weights_are_stored(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3), "b": torch.nn.Linear(3, 3)})
    model["b"].weight = model["a"].weight
    model["a"].bias = torch.nn.Parameter(torch.rand(6)[::2])
    plain = open_clip.get_tokenizer("ViT-B-32")
    checkpoints.save(tmp_path / "m", model, plain, {"model_cfg": {"text_cfg": {}}})
    stored = load_file(tmp_path / "m" / "open_clip_model.safetensors")
    assert set(stored) == {"a.weight", "a.bias", "b.weight", "b.bias"}
    assert torch.equal(stored["b.weight"], stored["a.weight"])
    assert torch.equal(stored["a.bias"], model["a"].bias)


def test_a_failed_write_leaves_the_old_checkpoint(encoder: DualEncoder, tmp_path: Path) -> None:
    write(encoder, tmp_path / "m", training={"step": 1})
    with pytest.raises(TypeError):
        write(encoder, tmp_path / "m", training={"step": object()})
    assert json.loads((tmp_path / "m" / "training.json").read_text()) == {"step": 1}
    write(encoder, tmp_path / "m", training={"step": 2})
    assert json.loads((tmp_path / "m" / "training.json").read_text()) == {"step": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    with pytest.raises(ModelError, match="int8"):
        write(encoder, tmp_path / "m", dtype="int8")


def test_the_model_card_lists_the_training_record(encoder: DualEncoder, tmp_path: Path) -> None:
    write(encoder, tmp_path / "m", training={"t2i_r1": 61.23456, "data": {"source": "a|b", "pairs": 3}})
    card = (tmp_path / "m" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: open_clip\n")
    assert "| t2i_r1 | 61.23 |" in card
    assert "source a\\|b, pairs 3" in card
    write(encoder, tmp_path / "m", card="# Mine\n")
    assert (tmp_path / "m" / "README.md").read_text() == "# Mine\n"


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pt", None])
def test_pickles_are_never_read(encoder: DualEncoder, tmp_path: Path, name: str | None) -> None:
    write(encoder, tmp_path / "m")
    (tmp_path / "m" / "open_clip_model.safetensors").unlink()
    if name:
        (tmp_path / "m" / name).write_bytes(b"\x80\x02would run")
    with pytest.raises(ModelError, match="never read"):
        load_encoder(str(tmp_path / "m"))


def test_a_pickle_next_to_safetensors_is_ignored(encoder: DualEncoder, tmp_path: Path) -> None:
    write(encoder, tmp_path / "m")
    safe = tmp_path / "m" / "open_clip_model.safetensors"
    safe.rename(tmp_path / "m" / "model.safetensors")
    (tmp_path / "m" / "checksums.json").unlink()  # as in checkpoints of other tools
    (tmp_path / "m" / "open_clip_pytorch_model.bin").write_bytes(b"\x80\x02would run")
    assert load_encoder(str(tmp_path / "m")).fingerprint == encoder.fingerprint


def test_code_of_a_checkpoint_is_never_run(encoder: DualEncoder, tmp_path: Path) -> None:
    write(encoder, tmp_path / "m")
    (tmp_path / "m" / "checksums.json").unlink()  # a stranger's checkpoint has none, or matching ones
    ran = tmp_path / "ran"
    (tmp_path / "m" / "evil.py").write_text(
        f"open({str(ran)!r}, 'w')\n"
        "from transformers import PreTrainedTokenizerFast\n"
        "class EvilTokenizer(PreTrainedTokenizerFast): pass\n"
    )
    changes: dict[str, Callable[[dict[str, Any]], None]] = {
        "open_clip_config.json": lambda config: config["model_cfg"]["text_cfg"].update(
            tokenizer_kwargs={"trust_remote_code": True}
        ),
        "tokenizer_config.json": lambda config: config.update(
            tokenizer_class="EvilTokenizer", auto_map={"AutoTokenizer": [None, "evil.EvilTokenizer"]}
        ),
    }
    for name, change in changes.items():
        file = tmp_path / "m" / name
        config = json.loads(file.read_text())
        change(config)
        file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="custom code"):
        load_encoder(str(tmp_path / "m"))
    assert not ran.exists()


@pytest.mark.parametrize("damage", ["{", "{}", '{"model_cfg": {"embed_dim": 3}}'])
def test_a_damaged_configuration_is_named(encoder: DualEncoder, tmp_path: Path, damage: str) -> None:
    write(encoder, tmp_path / "m")
    (tmp_path / "m" / "open_clip_config.json").write_text(damage)
    with pytest.raises(ModelError, match="damaged"):
        load_encoder(str(tmp_path / "m"))


def test_a_truncated_weights_file_is_named(encoder: DualEncoder, tmp_path: Path) -> None:
    write(encoder, tmp_path / "m")
    weights = tmp_path / "m" / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        load_encoder(str(tmp_path / "m"))
