"""Towers of one's own: pretrained weights of two libraries, joined, saved and loaded again."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import open_clip
import pytest
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

from itr_core import load_encoder
from itr_core.encoders import checkpoints
from itr_core.errors import ModelError
from tests.encoders.hub_cache import HubCache, write_tokenizer

TEXTS = ["a red sky over low ground", "green land", "blue " * 100]
WORDS = ["a", "red", "green", "blue", "sky", "over", "low", "ground", "land"]
SPECIAL = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
IMAGES = [Image.radial_gradient("L").convert("RGB"), Image.linear_gradient("L").convert("RGB")]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def write_image_weights(file: Path, name: str = "test_efficientnet") -> Path:
    """Write weights of a small network of timm, with its classifier, as timm does."""
    torch.manual_seed(1)
    save_file(timm.create_model(name).state_dict(), file)
    return file


def write_text_encoder(folder: Path, kind: str = "bert", **changes: Any) -> Path:
    """Write a small text encoder, as transformers does."""
    torch.manual_seed(2)
    settings = SHAPE | {"vocab_size": 40, "max_position_embeddings": 24} | changes
    config = transformers.AutoConfig.for_model(kind, **settings)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    write_tokenizer(folder, WORDS, special=SPECIAL, template="[CLS] $A [SEP]")
    return folder


def write_sentence_encoder(folder: Path, mode: str = "mean") -> Path:
    """Write a sentence encoder in the layout of sentence-transformers."""
    write_text_encoder(folder)
    steps = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(steps.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12, "do_lower_case": true}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{mode}_tokens": True}))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with image weights and a text encoder."""
    folder = tmp_path_factory.mktemp("towers")
    write_image_weights(folder / "image.safetensors")
    write_text_encoder(folder / "text")
    return folder


def spec(folder: Path, options: str = ",dim=16,size=32") -> str:
    return f"towers:timm:test_efficientnet@{folder / 'image.safetensors'}+hf:{folder / 'text'}{options}"


def test_the_towers_compute_what_their_libraries_compute(written: Path) -> None:
    encoder = load_encoder(spec(written), device="cpu")
    image = timm.create_model("test_efficientnet", num_classes=0).eval()
    torch.manual_seed(1)
    image.load_state_dict(
        {
            name: weight
            for name, weight in timm.create_model("test_efficientnet").state_dict().items()
            if not name.startswith("classifier")
        }
    )
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.model.visual.trunk.eval()(pixels), image(pixels))

        text = transformers.AutoModel.from_pretrained(written / "text").eval()
        ids = encoder.tokenizer(TEXTS)
        mask = (ids != 0).long()
        hidden = text(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        torch.testing.assert_close(
            encoder.eval().embed_text(ids), encoder.model.text.proj(mean), atol=1e-5, rtol=1e-5
        )
    assert encoder.dim == 16
    assert encoder.context_length == 24
    assert encoder.encode_images(IMAGES).shape == (2, 16)


def test_only_the_projections_depend_on_the_seed(written: Path) -> None:
    states = [load_encoder(spec(written), device="cpu", seed=seed).model.state_dict() for seed in (0, 0, 1)]
    assert not [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    other = {name for name in states[0] if not torch.equal(states[0][name], states[2][name])}
    assert other == {"visual.head.proj.weight", "visual.head.proj.bias", "text.proj.weight"}


def test_the_options_shape_the_joint_space(written: Path) -> None:
    options = ",dim=24,image=mlp,text=mlp,dropout=0.25,size=40,pixels=inception,resize=squash"
    encoder = load_encoder(spec(written, options), device="cpu")
    visual = encoder.model.visual
    assert encoder.dim == 24
    assert visual.head.mlp.drop1.p == 0.25
    assert len(encoder.model.text.proj) == 3
    assert visual.image_size == (40, 40)
    assert visual.preprocess_cfg["mean"] == [0.5, 0.5, 0.5]
    assert encoder.prepare(Image.new("RGB", (90, 30))).shape == (3, 40, 40)
    assert encoder.resize_mode == "squash"


def test_a_checkpoint_needs_neither_the_towers_nor_a_network(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "towers"))
    encoder = load_encoder(spec(folder), device="cpu")
    checkpoints.save(tmp_path / "model", encoder.model, encoder.tokenizer, encoder.config)
    shutil.rmtree(folder)
    again = load_encoder(str(tmp_path / "model"), device="cpu")
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(again.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
    np.testing.assert_array_equal(again.encode_images(IMAGES), encoder.encode_images(IMAGES))

    monkeypatch.chdir(tmp_path / "model")  # as its README.md says
    plain, _ = open_clip.create_model_from_pretrained("local-dir:.")
    ids = open_clip.get_tokenizer("local-dir:.")(TEXTS)
    with torch.inference_mode():
        expected = plain.eval().encode_text(ids, normalize=True).numpy()
    np.testing.assert_allclose(again.encode_texts(TEXTS), expected, atol=1e-6)

    (tmp_path / "model" / "checksums.json").unlink()
    (tmp_path / "model" / "text_tower.json").unlink()
    with pytest.raises(ModelError, match=r"text_tower\.json is not there\. The checkpoint must have it"):
        load_encoder(str(tmp_path / "model"), device="cpu")


def test_weights_of_the_hub_are_named_in_the_checkpoint(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubCache(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub.folder))
    (tmp_path / "image").mkdir()
    write_image_weights(tmp_path / "image" / "model.safetensors")
    hub.add("timm/test_efficientnet.r160_in1k", tmp_path / "image")
    hub.add("some/encoder", written / "text")
    encoder = load_encoder("towers:timm:test_efficientnet+hf:some/encoder,dim=16,size=32", device="cpu")
    assert encoder.spec == f"towers:timm:test_efficientnet+hf:some/encoder@{'a' * 40},dim=16,size=32"
    local = load_encoder(spec(written), device="cpu")
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS), local.encode_texts(TEXTS))
    np.testing.assert_array_equal(encoder.encode_images(IMAGES), local.encode_images(IMAGES))
    assert encoder.config["model_cfg"]["text_cfg"]["hf_model_name"] == "some/encoder"

    checkpoints.save(tmp_path / "model", encoder.model, encoder.tokenizer, encoder.config)
    shutil.rmtree(hub.folder)  # the checkpoint has the configuration of its text tower
    again = load_encoder(str(tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(again.encode_texts(TEXTS), encoder.encode_texts(TEXTS))


def test_a_sentence_encoder_keeps_its_pooling_length_and_case(written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "towers"))
    shutil.rmtree(folder / "text")
    write_sentence_encoder(folder / "text")
    encoder = load_encoder(spec(folder), device="cpu")
    assert encoder.context_length == 12
    np.testing.assert_array_equal(encoder.encode_texts(["A Red SKY"]), encoder.encode_texts(["a red sky"]))
    (folder / "text" / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    first = load_encoder(spec(folder), device="cpu")
    assert np.abs(first.encode_texts(TEXTS) - encoder.encode_texts(TEXTS)).max() > 1e-3


def test_roberta_has_room_for_fewer_tokens_than_positions(written: Path, tmp_path: Path) -> None:
    write_text_encoder(tmp_path / "text", "roberta", pad_token_id=0)
    shutil.copyfile(written / "image.safetensors", tmp_path / "image.safetensors")
    encoder = load_encoder(spec(tmp_path), device="cpu")
    assert encoder.context_length == 23  # position 0 belongs to the padding
    assert np.isfinite(encoder.encode_texts(["blue " * 100])).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timm:test_efficientnet", r"names no two towers; write towers:timm:NAME"),
        (
            "timm:test_efficientne+hf:TEXT",
            r"no image model 'test_efficientne'\. Did you mean 'test_efficientnet",
        ),
        ("timm:test_efficientnet@gone.safetensors+hf:TEXT", r"No weights file 'gone\.safetensors'.*@FILE"),
        ("timm:test_vit@IMAGE+hf:TEXT", r"does not fit timm:test_vit: it has no 'cls_token'"),
        ("timm:test_vit+hf:TEXT", r"no weights for timm:test_vit.*@FILE"),
        ("timm:test_vit+hf:TEXT,size=32", r"size=32 does not fit test_vit, which takes 160 pixels"),
        ("timm:test_efficientnet@IMAGE+hf:gone/away", r"gone/away has no config\.json"),
        (
            "timm:test_efficientnet@IMAGE+hf:/gone/away",
            r"no folder '/gone/away'; check the path, or write ORG",
        ),
        ("timm:test_efficientnet@IMAGE+hf:TEXT,dim=0", r"dim=0 is refused: .*greater than or equal to 1"),
        ("timm:test_efficientnet@IMAGE+hf:TEXT,width=8", r"no option 'width'"),
        ("timm:test_efficientnet@IMAGE+hf:TEXT,image=big", r"image=big is refused: .*'linear' or 'mlp'"),
    ],
)
def test_what_does_not_fit_is_named_with_a_remedy(text: str, message: str, written: Path) -> None:
    text = text.replace("IMAGE", str(written / "image.safetensors")).replace("TEXT", str(written / "text"))
    with pytest.raises(ModelError, match=message):
        load_encoder(f"towers:{text}", device="cpu")


def test_weights_of_another_width_are_refused(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "image.safetensors"
    state = timm.create_model("test_efficientnet").state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"][:4].clone()
    save_file(state, file)
    with pytest.raises(ModelError, match=r"conv_stem\.weight has the shape \(4, 3, 3, 3\), the tower needs"):
        load_encoder(spec(tmp_path), device="cpu")

    write_image_weights(file)
    config = tmp_path / "text" / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"hidden_size": 16}))
    with pytest.raises(ModelError, match=r"The weights of .*text do not fit its config\.json"):
        load_encoder(spec(tmp_path), device="cpu")
    config.write_text(json.dumps(settings | {"vocab_size": 8}))
    with pytest.raises(ModelError, match=r"tokenizer of .*text has 13 tokens, but its model only 8"):
        load_encoder(spec(tmp_path), device="cpu")


def test_code_and_pickles_of_strangers_are_refused(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "text" / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(ModelError, match="custom code"):
        load_encoder(spec(tmp_path), device="cpu")
    config.write_text(json.dumps(settings | {"model_type": "mpnet"}))
    with pytest.raises(ModelError, match=r"model_type = 'mpnet'.* must be one of bert, roberta, xlm-roberta"):
        load_encoder(spec(tmp_path), device="cpu")
    config.write_text(json.dumps(settings))
    (tmp_path / "text" / "model.safetensors").rename(tmp_path / "text" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="Pickled weights"):
        load_encoder(spec(tmp_path), device="cpu")


def test_pooling_that_open_clip_lacks_is_refused(written: Path, tmp_path: Path) -> None:
    shutil.copyfile(written / "image.safetensors", tmp_path / "image.safetensors")
    write_sentence_encoder(tmp_path / "text", "max")
    with pytest.raises(ModelError, match="pooling by max cannot be used here; choose"):
        load_encoder(spec(tmp_path), device="cpu")
