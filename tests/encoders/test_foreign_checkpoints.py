"""Checkpoints of strangers: nothing of them runs, names other files or takes memory without bound."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from itr_core import DualEncoder, Gallery, load_encoder, load_pairs, train
from itr_core.encoders import checkpoints, tokenizer
from itr_core.encoders.open_clip_config import read_config
from itr_core.errors import GalleryError, ModelError
from itr_core.gallery.manifest import Manifest
from itr_core.gallery.named_models import model_to_load
from ui.cli import app
from ui.web.galleries import Galleries

CONFIG, TOKENIZER_CONFIG = "open_clip_config.json", "tokenizer_config.json"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def honest(configs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint folder with a tokenizer of its own."""
    texts = [text for texts in load_pairs(f"folder:{world}").captions for text in texts]
    own = tokenizer.train(texts, vocab_size=300, context_length=24)
    encoder = load_encoder("tiny/none", device="cpu", tokenizer=own)
    folder = tmp_path_factory.mktemp("honest") / "model"
    checkpoints.save(folder, encoder.model, encoder.tokenizer, encoder.config)
    return folder


@pytest.fixture
def checkpoint(honest: Path, tmp_path: Path) -> Path:
    """A copy to be changed, without the digests of its files."""
    ignored = shutil.ignore_patterns("checksums.json")
    return Path(shutil.copytree(honest, tmp_path / "model", ignore=ignored))


def change(file: Path, edit: Change) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def setting(key: str, value: Any) -> Change:
    """Set `part.key` of open_clip_config.json."""

    def edit(config: dict[str, Any]) -> None:
        *parts, name = key.split(".")
        for part in parts:
            config = config.setdefault(part, {})
        config[name] = value

    return edit


def make_hostile(folder: Path) -> Path:
    """Let a checkpoint run its own Python file, wherever a library would read this; return the marker."""
    marker = folder.parent / "the-code-ran"
    (folder / "evil.py").write_text(
        f"open({str(marker)!r}, 'w').close()\n"
        "from transformers import PretrainedConfig, PreTrainedTokenizerFast\n"
        "class EvilTokenizer(PreTrainedTokenizerFast): pass\n"
        "class EvilConfig(PretrainedConfig): model_type = 'evil'\n"
    )
    code = {"AutoTokenizer": [None, "evil.EvilTokenizer"], "AutoConfig": "evil.EvilConfig"}
    change(folder / CONFIG, setting("model_cfg.text_cfg.tokenizer_kwargs", {"trust_remote_code": True}))
    change(folder / TOKENIZER_CONFIG, lambda it: it.update(tokenizer_class="EvilTokenizer", auto_map=code))
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": code}))
    return marker


def cached(folder: Path, repository: str, commit: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a folder to a cache of the hub, as if it had been downloaded; return the snapshot."""
    cache = folder.parent / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text(commit)
    return Path(shutil.copytree(folder, root / "snapshots" / commit))


def test_a_hostile_checkpoint_would_run_in_open_clip(checkpoint: Path) -> None:
    marker = make_hostile(checkpoint)  # otherwise the tests below would prove nothing
    open_clip.get_tokenizer(f"local-dir:{checkpoint}")
    assert marker.exists()


@pytest.mark.parametrize("part", ["all", TOKENIZER_CONFIG, CONFIG, "config.json"])
def test_code_of_a_checkpoint_never_runs(checkpoint: Path, honest: Path, part: str) -> None:
    marker = make_hostile(checkpoint)
    for name in {CONFIG, TOKENIZER_CONFIG} - ({CONFIG, TOKENIZER_CONFIG} if part == "all" else {part}):
        shutil.copyfile(honest / name, checkpoint / name)
    if part == "config.json":  # which open_clip does not need
        assert load_encoder(str(checkpoint), device="cpu").dim == 32
    else:
        with pytest.raises(ModelError, match="custom code"):
            load_encoder(str(checkpoint), device="cpu")
    assert not marker.exists()


def test_code_of_a_hub_repository_never_runs(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = make_hostile(checkpoint)
    cached(checkpoint, "some/model", "a" * 40, monkeypatch)
    with pytest.raises(ModelError, match="custom code"):
        load_encoder("hf-hub:some/model", device="cpu")
    assert not marker.exists()


def test_training_and_evaluation_do_not_run_it(checkpoint: Path, world: Path, tmp_path: Path) -> None:
    marker = make_hostile(checkpoint)
    source, model = f"folder:{world}", f"local-dir:{checkpoint}"
    with pytest.raises(ModelError, match="custom code"):
        train("infonce", source, model=model, out=tmp_path / "run", progress=False)
    for arguments in (
        ["evaluate", "--model", model, "--source", source],
        ["build", source, "--model", model, "--out", str(tmp_path / "gallery")],
        ["train", "--method", "infonce", "--source", source, "--model", model, "--out", str(tmp_path / "r")],
    ):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, "custom code" in result.stderr) == (2, True), result.output
    assert not marker.exists()


@pytest.fixture
def gallery_of_a_stranger(checkpoint: Path, world: Path, tmp_path: Path) -> Path:
    """A gallery whose manifest names a hostile checkpoint that the user has never named."""
    folder = tmp_path / "gallery"
    pairs = load_pairs(f"folder:{world}").select(range(3))
    Gallery.build(pairs, load_encoder("tiny/none", device="cpu"), folder)
    Manifest.read(folder).model_copy(update={"model": f"local-dir:{checkpoint}"}).write(folder)
    return folder


def test_a_gallery_does_not_load_the_model_that_it_names(
    gallery_of_a_stranger: Path, checkpoint: Path
) -> None:
    marker = make_hostile(checkpoint)
    search = CliRunner().invoke(app, ["search", str(gallery_of_a_stranger), "a sky"])
    assert search.exit_code == 2
    assert f"--model local-dir:{checkpoint}" in search.stderr
    served = Galleries([str(gallery_of_a_stranger)], None)
    with pytest.raises(GalleryError, match="name it once: --model"):
        served.searcher(served.names[0])
    served = Galleries([str(gallery_of_a_stranger)], f"local-dir:{checkpoint}")
    with pytest.raises(ModelError, match="custom code"):
        served.searcher(served.names[0])
    assert not marker.exists()


def test_a_model_is_loaded_once_the_user_has_named_it(
    honest: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    encoder = load_encoder(str(honest), device="cpu")
    Gallery.build(load_pairs(f"folder:{world}").select(range(3)), encoder, tmp_path / "gallery")
    search = ["search", str(tmp_path / "gallery"), "a sky"]
    assert CliRunner().invoke(app, search).exit_code == 0  # building named it
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "another machine"))
    assert "name it once: --model" in CliRunner().invoke(app, search).stderr
    assert CliRunner().invoke(app, [*search, "--model", str(honest)]).exit_code == 0
    assert CliRunner().invoke(app, search).exit_code == 0


@pytest.mark.parametrize("model", ["runs/one", "local-dir:runs/one", "tiny/runs/one.safetensors"])
def test_a_relative_name_is_that_of_one_working_directory(
    model: str, honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    manifest = Manifest.model_construct(model=model)
    for name in ("mine", "theirs"):
        shutil.copytree(honest, tmp_path / name / "runs" / "one")
    monkeypatch.chdir(tmp_path / "mine")
    model_to_load(manifest, model)
    assert model_to_load(manifest) == model
    monkeypatch.chdir(tmp_path / "theirs")
    with pytest.raises(GalleryError, match="--model"):
        model_to_load(manifest)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_cfg.text_cfg.tokenizer_kwargs.use_auth_token", "x", "use_auth_token is no setting"),
        ("model_cfg.text_cfg.tokenizer_kwargs.clean", "os.system", "clean = 'os.system'"),
        ("model_cfg.text_cfg.hf_model_name", "stranger/model", "No architecture of open_clip has"),
        ("model_cfg.text_cfg.hf_model_name", ".", "hf_model_name = '.' is refused"),
        ("model_cfg.text_cfg.hf_model_name", "../tower", "hf_model_name = '../tower' is refused"),
        ("model_cfg.vision_cfg.timm_model_name", "hf-hub:stranger/model", "no architecture"),
        ("model_cfg.vision_cfg.timm_model_name", "local-dir:.", "no architecture"),
        ("model_cfg.vision_cfg.layers", 10**6, "layers"),
        ("model_cfg.vision_cfg.layers", [1, 1, 1, 10**6], "layers"),
        ("model_cfg.vision_cfg.width", 10**9, "width"),
        ("model_cfg.vision_cfg.image_size", 10**6, "image_size"),
        ("model_cfg.vision_cfg.image_size", [32, 10**6], "image_size"),
        ("model_cfg.vision_cfg.patch_size", 0, "patch_size"),
        ("model_cfg.vision_cfg.mlp_ratio", float("nan"), "NaN is no number"),
        ("model_cfg.vision_cfg.layers", "2", "layers = '2'"),
        ("model_cfg.vision_cfg.layers", True, "layers = True"),
        ("model_cfg.text_cfg.vocab_size", 10**10, "vocab_size"),
        ("model_cfg.text_cfg.context_length", 10**7, "context_length"),
        ("model_cfg.text_cfg.norm_kwargs", {"device": "cuda"}, "norm_kwargs.device is no setting"),
        ("model_cfg.embed_dim", -1, "embed_dim = -1"),
        ("model_cfg.init_logit_scale", "3", "init_logit_scale = '3'"),
        ("model_cfg.precision", "fp16", "model_cfg.precision is no setting"),
        ("preprocess_cfg.size", 10**6, "preprocess_cfg.size"),
        ("preprocess_cfg.mean", [0.5, 0.5], "preprocess_cfg.mean"),
        ("preprocess_cfg.std", [0.5, 0.5, 0], "preprocess_cfg.std"),
        ("preprocess_cfg.interpolation", "__import__", "preprocess_cfg.interpolation"),
    ],
)
def test_a_setting_that_is_not_accepted_is_named(
    checkpoint: Path, key: str, value: Any, message: str
) -> None:
    change(checkpoint / CONFIG, setting(key, value))
    with pytest.raises(ModelError, match=message):
        load_encoder(str(checkpoint), device="cpu")


def test_every_architecture_of_open_clip_is_accepted(tmp_path: Path) -> None:
    for name in open_clip.list_models():
        config = {"model_cfg": open_clip.get_model_config(name)}
        (tmp_path / CONFIG).write_text(json.dumps(config))
        assert read_config(tmp_path / CONFIG) == config | {"preprocess_cfg": {}}


def test_a_number_too_large_for_a_float_is_named(checkpoint: Path) -> None:
    config = (checkpoint / CONFIG).read_text().replace('"layers": 2', '"layers": 2, "mlp_ratio": 1e999', 1)
    (checkpoint / CONFIG).write_text(config)
    with pytest.raises(ModelError, match="mlp_ratio = inf"):
        load_encoder(str(checkpoint), device="cpu")


@pytest.mark.parametrize(
    "text", ["[" * 10**5, '{"model_cfg": ' * 5_000 + "{}" + "}" * 5_000, "\0", "[]", "é"]
)
def test_a_configuration_that_is_no_object_is_named(checkpoint: Path, text: str) -> None:
    (checkpoint / CONFIG).write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=r"damaged|nested"):
        load_encoder(str(checkpoint), device="cpu")


def test_digests_nested_too_deeply_are_named(checkpoint: Path) -> None:
    (checkpoint / "checksums.json").write_text("[" * 10**5)
    with pytest.raises(ModelError, match=r"checksums\.json is damaged"):
        load_encoder(str(checkpoint), device="cpu")


def test_keys_that_no_library_reads_are_left_out(checkpoint: Path, honest: Path) -> None:
    change(checkpoint / CONFIG, lambda it: it.update(library_name="open_clip"))
    change(checkpoint / CONFIG, setting("preprocess_cfg.crop_pct", 0.9))
    change(checkpoint / TOKENIZER_CONFIG, lambda it: it.update(chat_template="{{ x }}", vocab_file="/etc/x"))
    (checkpoint / "special_tokens_map.json").write_text('{"pad_token": {"content": "<pad>"}, "x": [1]}')
    texts = ["a red sky", "low ground"]
    found, expected = (load_encoder(str(each), device="cpu") for each in (checkpoint, honest))
    assert found.fingerprint == expected.fingerprint
    assert torch.equal(found.tokenizer(texts), expected.tokenizer(texts))


def test_a_configuration_of_a_larger_model_than_the_weights_takes_no_memory(checkpoint: Path) -> None:
    change(checkpoint / CONFIG, setting("model_cfg.text_cfg.vocab_size", 2_000_000))
    change(checkpoint / CONFIG, setting("model_cfg.text_cfg.width", 16_384))  # 131 GB of token embeddings
    with pytest.raises(ModelError, match=r"describes a model of 3\d,\d+,\d+,\d+ weights"):
        load_encoder(str(checkpoint), device="cpu")


def test_a_tokenizer_comes_from_the_checkpoint_only(checkpoint: Path) -> None:
    change(checkpoint / CONFIG, setting("model_cfg.text_cfg.hf_tokenizer_name", "stranger/tokenizer"))
    assert load_encoder(str(checkpoint), device="cpu").context_length == 24
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        load_encoder(str(checkpoint), device="cpu")


@pytest.mark.parametrize("name", ["../../../etc", "..", "infonce/../infonce", "/etc"])
def test_a_starter_is_no_path(name: str) -> None:
    with pytest.raises(ModelError, match="No starter model"):
        load_encoder(f"starter:{name}")


# ---- repositories of the hub


def test_a_repository_is_pinned_to_its_commit(
    honest: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(checkpoint, "some/model", "a" * 40, monkeypatch)
    weights = load_file(checkpoint / "open_clip_model.safetensors")
    save_file(weights | {"logit_scale": torch.tensor(1.0)}, checkpoint / "open_clip_model.safetensors")
    cached(checkpoint, "some/model", "b" * 40, monkeypatch)
    newest = load_encoder("hf-hub:some/model", device="cpu")
    assert newest.spec == f"hf-hub:some/model@{'b' * 40}"
    old = load_encoder(f"hf-hub:some/model@{'a' * 40}", device="cpu")
    assert old.spec == f"hf-hub:some/model@{'a' * 40}"
    assert old.fingerprint == load_encoder(str(honest), device="cpu").fingerprint != newest.fingerprint


def test_weights_that_differ_from_their_sha256_are_named(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = cached(checkpoint, "some/model", "c" * 40, monkeypatch) / "open_clip_model.safetensors"
    blob = weights.parents[2] / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    weights.rename(blob)
    weights.symlink_to(blob)
    with pytest.raises(ModelError, match=r"is damaged\. Delete it"):
        load_encoder("hf-hub:some/model", device="cpu")


@pytest.mark.parametrize("name", ["../x", "a/b/c", "a b/c", "a/b@", "a/b@../../x\n", ""])
def test_a_name_of_no_repository_is_refused(name: str) -> None:
    with pytest.raises(ModelError):
        load_encoder(f"hf-hub:{name}")


def test_an_encoder_of_open_clips_own_names_needs_no_checks(configs: Path) -> None:
    assert isinstance(load_encoder("tiny-conv/none", device="cpu"), DualEncoder)
