"""Multimodal models of sentence-transformers: equal to what the package computes, and safe to load."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from itr_core import Gallery, Searcher, load_encoder, load_pairs, train
from itr_core.errors import ModelError
from tests.encoders.test_transformers_model import IMAGES, TEXTS, write_model
from ui.cli import app

library = pytest.importorskip("sentence_transformers", reason="pip install 'pairscope[teachers]'")

PROMPTS = {"query": "a low ", "document": "blue "}


def write_sentence_model(layout: str, folder: Path) -> Path:
    """Let sentence-transformers write a small model: towers, a dense layer, normalisation and prompts."""
    from sentence_transformers.base.modules import Dense, Normalize, Transformer

    modules = [Transformer(str(write_model(layout, folder / "towers"))), Dense(24, 16), Normalize()]
    written = library.SentenceTransformer(modules=modules, prompts=PROMPTS)
    written.save_pretrained(str(folder / "model"))
    return folder / "model"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_sentence_model("CLIP", tmp_path)


@pytest.mark.parametrize("layout", ["CLIP", "MetaClip2", "AltCLIP"])
def test_embeddings_equal_those_of_sentence_transformers(layout: str, tmp_path: Path) -> None:
    folder = write_sentence_model(layout, tmp_path)
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    queries = load_encoder(f"sentence-transformers:{folder}", device="cpu")
    documents = load_encoder(f"sentence-transformers:{folder}#document", device="cpu")
    assert queries.dim == 16
    short = [TEXTS[0], TEXTS[1], TEXTS[3]]  # the package does not know where to cut the text of 100 words
    np.testing.assert_allclose(queries.encode_texts(short), theirs.encode_query(short), atol=1e-5)
    np.testing.assert_allclose(documents.encode_texts(short), theirs.encode_document(short), atol=1e-5)
    np.testing.assert_allclose(queries.encode_images(IMAGES), theirs.encode(IMAGES), atol=5e-3)
    assert queries.fingerprint == documents.fingerprint  # both search the same gallery
    kept, lost = queries.split_at_context(TEXTS[2])
    assert kept + lost == TEXTS[2]


def test_a_model_without_modules_is_one_of_transformers(tmp_path: Path) -> None:
    folder = write_model("CLIP", tmp_path / "clip")
    found = load_encoder(f"sentence-transformers:{folder}", device="cpu")
    expected = load_encoder(f"transformers:{folder}", device="cpu")
    np.testing.assert_array_equal(found.encode_texts(TEXTS), expected.encode_texts(TEXTS))


def test_siglip_is_padded_as_it_was_trained(tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Transformer

    towers = Transformer(str(write_model("Siglip", tmp_path / "towers")))
    library.SentenceTransformer(modules=[towers]).save_pretrained(str(tmp_path / "model"))
    found = load_encoder(f"sentence-transformers:{tmp_path / 'model'}", device="cpu")
    expected = load_encoder(f"transformers:{tmp_path / 'towers'}", device="cpu")
    np.testing.assert_allclose(found.encode_texts(TEXTS), expected.encode_texts(TEXTS), atol=1e-6)


def change(file: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_older_layouts_and_settings_are_read(model: Path) -> None:
    (model / "0_CLIPModel").mkdir()
    for file in [*model.iterdir()]:
        if file.is_file() and file.name not in ("modules.json", "config_sentence_transformers.json"):
            file.rename(model / "0_CLIPModel" / file.name)
    change(
        model / "modules.json",
        lambda it: it[0].update(path="0_CLIPModel", type="sentence_transformers.models.CLIPModel"),
    )
    change(
        model / "0_CLIPModel" / "sentence_bert_config.json",
        lambda it: it.update(max_seq_length=6, do_lower_case=True),
    )
    encoder = load_encoder(f"sentence-transformers:{model}", device="cpu")
    assert encoder.context_length == 6
    np.testing.assert_array_equal(*encoder.encode_texts(["A RED sky", "a red sky"])[:, None])


def test_the_spec_works_in_galleries_and_commands(model: Path, world: Path, tmp_path: Path) -> None:
    spec, source = f"sentence-transformers:{model}", f"folder:{world}"
    pairs = load_pairs(source, limit=6)
    gallery = Gallery.build(pairs, load_encoder(spec, device="cpu"), tmp_path / "gallery")
    searcher = Searcher(gallery, load_encoder(gallery.manifest.model, device="cpu"))
    assert searcher.search_image(pairs.image(4), k=1, of="images")[0].item_id == pairs[4].image_id
    evaluate = ["evaluate", "--model", spec, "--source", source, "--limit", "6", "--json"]
    for command in (["search", str(tmp_path / "gallery"), "a red sky"], evaluate):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    with pytest.raises(ModelError, match="not for training"):
        train("infonce", source, model=spec, out=tmp_path / "run", progress=False)


# ---- models of strangers


def evil_module(model: Path) -> None:
    (model / "evil.py").write_text(f"open({str(model / 'ran')!r}, 'w')\nclass Evil: pass\n")
    change(model / "modules.json", lambda it: it[0].update(type="evil.Evil"))


def pickled_dense(model: Path) -> None:
    (model / "1_Dense" / "model.safetensors").rename(model / "1_Dense" / "pytorch_model.bin")


def router(modules: Any) -> None:
    modules[1]["type"] = "sentence_transformers.base.modules.router.Router"


def another_method(settings: Any) -> None:
    settings["modality_config"]["text"]["method"] = "save_pretrained"


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("modules.json", lambda it: it[1].update(path="../../towers"), "path = "),
        ("modules.json", router, "Transformer, Router, Normalize"),
        ("modules.json", list.clear, "the modules are none"),
        ("1_Dense/config.json", lambda it: it.update(activation_function="os.system"), "'os.system'"),
        ("1_Dense/config.json", lambda it: it.update(out_features=10**9), "out_features"),
        ("1_Dense/config.json", lambda it: it.update(in_features=25), "embeddings before have 24"),
        ("sentence_bert_config.json", another_method, "save_pretrained"),
        ("config.json", lambda it: it.update(auto_map={"AutoModel": "evil.Model"}), "custom code"),
        ("config.json", lambda it: it.update(model_type="bert"), "model_type = 'bert'"),
    ],
)
def test_what_is_not_known_is_refused(
    model: Path, file: str, edit: Callable[[Any], object], message: str
) -> None:
    change(model / file, edit)
    with pytest.raises(ModelError, match=message):
        load_encoder(f"sentence-transformers:{model}", device="cpu")


def test_code_of_a_model_never_runs(model: Path) -> None:
    (model / "evil.py").write_text(f"open({str(model / 'ran')!r}, 'w')\nclass Evil: pass\n")
    change(model / "modules.json", lambda it: it[0].update(type="evil.Evil"))
    with pytest.raises(ModelError, match=r"type = 'evil\.Evil' is refused"):
        load_encoder(f"sentence-transformers:{model}", device="cpu")
    assert not (model / "ran").exists()


def test_pickled_weights_are_never_read(model: Path) -> None:
    (model / "1_Dense" / "model.safetensors").rename(model / "1_Dense" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="Pickled weights"):
        load_encoder(f"sentence-transformers:{model}", device="cpu")


def test_an_unknown_role_is_refused(model: Path) -> None:
    with pytest.raises(ModelError, match="#passage is no role"):
        load_encoder(f"sentence-transformers:{model}#passage")
