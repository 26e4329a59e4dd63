"""Frozen teachers of every kind: encoded once per source and never used for another."""

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_model
from typer.testing import CliRunner

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import ModelError, PairscopeError, SourceError
from itr_core.features import teachers
from itr_core.features.image_rows import (
    DecodedImages,
    StoredImages,
    cached_features,
    cached_pixels,
    features_from_file,
)
from itr_core.features.teachers import check_teachers, open_teachers, save_teachers
from itr_core.pairs import PairSet, load_pairs
from itr_core.training import train
from ui.cli import app

pytestmark = pytest.mark.usefixtures("configs")


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pairs(world: Path) -> PairSet:
    return load_pairs(f"folder:{world}")


@pytest.fixture
def encoder() -> DualEncoder:
    return load_encoder("tiny/none", device="cpu")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(timm.create_model("test_vit", num_classes=10), str(tmp_path / "vit.safetensors"))
    return tmp_path / "vit.safetensors"


def embed(pairs: PairSet, encoder: DualEncoder, image: str | None = None, text: str | None = None) -> Any:
    images = cached_pixels(pairs, encoder, workers=0, progress=False)
    return open_teachers(image, text, pairs, images, encoder, progress=False)


def caches(tmp_path: Path) -> int:
    return sum(path.is_dir() for path in (tmp_path / "cache" / "teachers").iterdir())


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# -- the default teachers -------------------------------------------------------------------------------


def test_the_defaults_are_trunk_features_and_lsa(pairs: PairSet, encoder: DualEncoder) -> None:
    image, text = embed(pairs, encoder)
    features = encoder.image_features(pairs.image(row) for row in range(64))
    np.testing.assert_allclose(image, unit(features - features.mean(0)), atol=2e-3)
    assert image.shape == (64, 32)
    assert text.shape[0] == 128
    for rows in (image, text):
        assert isinstance(rows, np.memmap)
        assert rows.dtype == np.float16
        np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float32), axis=1), 1, atol=2e-3)


def test_features_equal_those_that_the_run_trains_on(pairs: PairSet, encoder: DualEncoder) -> None:
    cached = cached_features(pairs, encoder, workers=0, progress=False)
    decoded = DecodedImages(pairs, encoder)
    given = np.random.default_rng(0).random((64, 9), np.float32)
    rows = [
        open_teachers(None, None, pairs, images, encoder, progress=False)[0]
        for images in (cached, decoded, StoredImages(given, {}))
    ]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_allclose(rows[2], unit(given - given.mean(0)), atol=1e-3)


def test_lsa_similarity_follows_shared_words(pairs: PairSet, encoder: DualEncoder) -> None:
    texts, _ = pairs.flat_captions()
    rows = embed(pairs, encoder)[1].astype(np.float32)
    cosines = rows @ rows.T
    words = [set(text.replace(",", "").split()) for text in texts]
    shared = np.array([[len(a & b) / len(a | b) for b in words] for a in words])
    others = ~np.eye(128, dtype=bool)
    assert np.corrcoef(cosines[others], shared[others])[0, 1] > 0.8
    again = teachers._lsa(texts)
    np.testing.assert_allclose(rows, unit(again), atol=1e-3)  # the seed is fixed


def test_lsa_of_few_captions_and_of_captions_without_words(tmp_path: Path, encoder: DualEncoder) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    notes = tmp_path / "metadata.jsonl"
    notes.write_text('{"file_name": "a.png", "captions": ["a red ball", "?"]}')
    text = embed(load_pairs(f"folder:{tmp_path}"), encoder)[1]
    assert text.shape == (2, 2)
    assert not text[1].any()
    notes.write_text('{"file_name": "a.png", "captions": ["?"]}')
    with pytest.raises(SourceError, match="no words for the text teacher 'lsa'"):
        embed(load_pairs(f"folder:{tmp_path}"), encoder)
    without = load_pairs(f"folder:{tmp_path}", columns={"captions": []})
    with pytest.raises(SourceError, match="no captions for a text teacher"):
        embed(without, encoder)


# -- the cache -------------------------------------------------------------------------------------------


def test_a_source_is_encoded_once(
    pairs: PairSet, encoder: DualEncoder, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = embed(pairs, encoder, f"timm:test_vit@{weights}")
    monkeypatch.setattr(teachers, "_lsa", None)  # neither teacher may be loaded again
    monkeypatch.setattr(timm, "create_model", None)
    for first, again in zip(before, embed(pairs, encoder, f"timm:test_vit@{weights}"), strict=True):
        np.testing.assert_array_equal(first, again)
    assert caches(tmp_path) == 2


@pytest.mark.parametrize("change", ["order", "caption", "fewer"])
def test_a_cache_is_never_used_for_another_source(
    world: Path, pairs: PairSet, encoder: DualEncoder, tmp_path: Path, change: str
) -> None:
    image, text = embed(pairs, encoder)
    here = Path(shutil.copytree(world, tmp_path / "world"))
    lines = (here / "metadata.jsonl").read_text().splitlines()
    if change == "order":
        first, last = json.loads(lines[0]), json.loads(lines[-1])
        first["captions"], last["captions"] = last["captions"], first["captions"]
        lines[0], lines[-1] = json.dumps(first), json.dumps(last)
    elif change == "caption":
        lines[0] = lines[0].replace("flat", "high")
    (here / "metadata.jsonl").write_text("\n".join(lines))
    other = load_pairs(f"folder:{here}", limit=60 if change == "fewer" else None)
    ours = embed(other, encoder)
    assert caches(tmp_path) == 4
    assert len(ours[1]) == len(other.flat_captions()[0])
    assert ours[1].shape != text.shape or not np.allclose(ours[1], text)
    assert len(ours[0]) == (60 if change == "fewer" else len(image))


def test_other_weights_have_another_cache(pairs: PairSet, encoder: DualEncoder, tmp_path: Path) -> None:
    one = embed(pairs, encoder)[0]
    two = embed(pairs, load_encoder("tiny/none", device="cpu", seed=1))[0]
    assert caches(tmp_path) == 3  # the text teacher is the same
    assert not np.allclose(one, two)


# -- other models ----------------------------------------------------------------------------------------


def test_timm_with_weights_from_a_file(world: Path, encoder: DualEncoder, weights: Path) -> None:
    pairs = load_pairs(f"folder:{world}", limit=3)
    image, _ = embed(pairs, encoder, f"timm:test_vit@{weights}")
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=10)
    model.reset_classifier(0)
    model.eval()
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        expected = model(torch.stack([transform(pairs.image(row)) for row in range(3)])).numpy()
    np.testing.assert_allclose(image, unit(expected), atol=2e-3)


def test_the_row_of_an_unusable_image_is_zero(
    world: Path, tmp_path: Path, encoder: DualEncoder, weights: Path
) -> None:
    here = Path(shutil.copytree(world, tmp_path / "world"))
    (here / "01.png").write_bytes((here / "01.png").read_bytes()[:60])
    pairs = load_pairs(f"folder:{here}", limit=3)
    for spec in (f"timm:test_vit@{weights}", "features", "open_clip:tiny/none"):
        image, text = embed(pairs, encoder, spec)
        assert [bool(row.any()) for row in image] == [True, False, True]
        assert len(text) == 6


def test_errors_of_timm_teachers_name_the_cause(pairs: PairSet, encoder: DualEncoder, weights: Path) -> None:
    with pytest.raises(ModelError, match="Cannot load the image teacher timm:nonsuch: Unknown model"):
        embed(pairs, encoder, "timm:nonsuch")
    with pytest.raises(ModelError, match=r"timm:test_vit: .*without a network, use timm:NAME@FILE"):
        embed(pairs, encoder, "timm:test_vit")
    with pytest.raises(ModelError, match=r"Cannot read the file 'no\.safetensors'.*No such file"):
        embed(pairs, encoder, "timm:test_vit@no.safetensors")
    with pytest.raises(
        ModelError, match=r"does not fit timm:test_convnext: it has no .*Name the architecture"
    ):
        embed(pairs, encoder, f"timm:test_convnext@{weights}")
    other = load_file(weights)
    name = next(name for name in other if name.endswith("qkv.weight"))
    save_file(other | {name: other[name][:3]}, weights)
    with pytest.raises(ModelError, match=rf"does not fit timm:test_vit: {name} has the shape \(3, "):
        embed(pairs, encoder, f"timm:test_vit@{weights}")
    weights.write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=r"Cannot read the weights .* of timm:test_vit .*download the file"):
        embed(pairs, encoder, f"timm:test_vit@{weights}")


def test_open_clip_models_are_image_and_text_teachers(pairs: PairSet, encoder: DualEncoder) -> None:
    image, text = embed(pairs, encoder, "open_clip:tiny/none", "open_clip:tiny/none")
    teacher = load_encoder("tiny/none", device="cpu")
    np.testing.assert_allclose(image, teacher.encode_images(pairs.image(row) for row in range(64)), atol=1e-3)
    np.testing.assert_allclose(text, teacher.encode_texts(pairs.flat_captions()[0]), atol=1e-3)
    with pytest.raises(ModelError, match="No model 'tinny/none'"):
        embed(pairs, encoder, "open_clip:tinny/none")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_sentence_transformer_from_a_folder(pairs: PairSet, encoder: DualEncoder, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="pip install 'pairscope[teachers]'")
    folder = sentence_model(library, pairs, tmp_path)
    _, text = embed(pairs, encoder, text=f"sentence-transformers:{folder}")
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(pairs.flat_captions()[0])
    np.testing.assert_allclose(text, unit(expected), atol=2e-3)
    with pytest.raises(ModelError, match=r"sentence-transformers:nonsuch.*use the path of a local folder"):
        embed(pairs, encoder, text="sentence-transformers:nonsuch")


def test_plain_text_for_the_text_teacher(pairs: PairSet, encoder: DualEncoder, tmp_path: Path) -> None:
    """The expected text is the output of `pre_caption` of CUSA's code, dataset/utils.py."""
    caption = 'A (red) <person>: "Hi!" -- at 5/6; it\'s   well-known...'
    assert teachers.plain_text(caption) == "a red person hi at 5 6 it s well known"
    assert teachers.plain_text("word " * 70).split() == ["word"] * 64
    assert teachers.plain_text("?!") == "?!"
    seen: list[str] = []
    encode = DualEncoder.encode_texts

    def spy(self: DualEncoder, texts: list[str], **options: Any) -> Any:
        seen.extend(texts)
        return encode(self, texts, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DualEncoder, "encode_texts", spy)
        _, plain = embed(pairs, encoder, text="plain-text:open_clip:tiny/none")
    assert seen == [teachers.plain_text(text) for text in pairs.flat_captions()[0]]
    np.testing.assert_allclose(plain, encoder.encode_texts(seen), atol=2e-3)
    embed(pairs, encoder, text="open_clip:tiny/none")
    assert caches(tmp_path) == 3  # the images, and two of the captions


def sentence_model(library: Any, pairs: PairSet, folder: Path) -> Path:
    """Save a BERT of one layer with random weights in the format of sentence-transformers."""
    from transformers import BertConfig, BertModel, BertTokenizer

    vocabulary = {word for text in pairs.flat_captions()[0] for word in text.replace(",", "").split()}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(vocabulary)]
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **shape)).save_pretrained(folder / "bert")
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder / "bert")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.SentenceTransformer(str(folder / "bert"), device="cpu").save(str(folder / "sentences"))
    return folder / "sentences"


def test_a_missing_package_is_named_with_the_remedy(
    pairs: PairSet, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'pairscope\[teachers\]'"):
        embed(pairs, encoder, text="sentence-transformers:all-mpnet-base-v2")


# -- precomputed rows ------------------------------------------------------------------------------------


def test_saved_rows_are_read_again(pairs: PairSet, encoder: DualEncoder, tmp_path: Path) -> None:
    saved, file = embed(pairs, encoder), tmp_path / "rows.safetensors"
    save_teachers(file, pairs, *saved)
    opened = embed(pairs, encoder, f"precomputed:{file}:image", f"precomputed:{file}:text")
    for mine, theirs in zip(opened, saved, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_the_command_writes_rows_that_training_reads(world: Path, tmp_path: Path) -> None:
    file, source = tmp_path / "rows.safetensors", f"folder:{world}"
    made = CliRunner().invoke(
        app, ["data", "teachers", source, "--out", str(file), "--model", "tiny/none", "--device", "cpu"]
    )
    assert made.exit_code == 0, made.output
    named: dict[str, Any] = {f"{of}_teacher": f"precomputed:{file}:{of}" for of in ("image", "text")}
    assert all(spec in made.stdout for spec in named.values())
    out = train(
        "cusa", source, model="tiny/none", vocab_size=300, out=tmp_path / "out", device="cpu", max_steps=2,
        batch_size=16, progress=False, **named,
    )  # fmt: skip
    assert (out / "heads.safetensors").exists()


def test_precomputed_rows_without_a_source_need_the_right_number(
    pairs: PairSet, encoder: DualEncoder, tmp_path: Path
) -> None:
    file = tmp_path / "rows.safetensors"
    random = np.random.default_rng(0)
    save_file({"i": random.random((64, 5)), "t": random.random((128, 7), np.float32)}, file)
    image, text = embed(pairs, encoder, f"precomputed:{file}:i", f"precomputed:{file}:t")
    np.testing.assert_allclose(image, unit(load_file(file)["i"]), atol=1e-3)
    assert text.shape == (128, 7)
    with pytest.raises(SourceError, match=r"shape \(64, 5\); the source has 128 captions"):
        embed(pairs, encoder, text=f"precomputed:{file}:i")
    with pytest.raises(SourceError, match=r"shape \(128, 7\); the source has 64 images"):
        embed(pairs, encoder, f"precomputed:{file}:t")


@pytest.mark.parametrize("change", ["order", "caption"])
def test_rows_of_another_source_are_refused(
    world: Path, pairs: PairSet, encoder: DualEncoder, tmp_path: Path, change: str
) -> None:
    here = Path(shutil.copytree(world, tmp_path / "world"))
    notes = here / "metadata.jsonl"
    if change == "caption":
        notes.write_text(notes.read_text().replace("a red sky", "a pink sky"))
    other = load_pairs(f"folder:{here}")
    if change == "order":
        other = other.select(np.arange(64)[::-1])
    file = tmp_path / "rows.safetensors"
    save_teachers(file, other, np.ones((64, 3), np.float16), np.ones((128, 3), np.float16))
    message = f"{other.fingerprint[:12]}, but folder:.* is {pairs.fingerprint[:12]}"
    with pytest.raises(SourceError, match=message):
        embed(pairs, encoder, f"precomputed:{file}:image")
    with pytest.raises(SourceError, match=message):
        embed(pairs, encoder, text=f"precomputed:{file}:text")
    with pytest.raises(SourceError, match=rf"{message}: other images, or the same in another order"):
        features_from_file(f"{file}:image", pairs)  # --image-features
    with pytest.raises(PairscopeError, match=message):
        train(
            "cusa", f"folder:{world}", model="tiny/none", vocab_size=300, out=tmp_path / "out",
            device="cpu", progress=False, text_teacher=f"precomputed:{file}:text",
        )  # fmt: skip


def test_unreadable_rows_are_named(pairs: PairSet, encoder: DualEncoder, tmp_path: Path) -> None:
    file = tmp_path / "rows.safetensors"
    with pytest.raises(ModelError, match=r"Cannot read the file '.*rows\.safetensors'.*No such file"):
        embed(pairs, encoder, f"precomputed:{file}:image")
    with pytest.raises(ModelError, match=r"write .*precomputed:FILE\.safetensors:KEY"):
        embed(pairs, encoder, "precomputed:nothing")
    save_file({"image": np.full((64, 2), np.nan, np.float32)}, file)
    with pytest.raises(SourceError, match=r"no features 'imag'\. Did you mean 'image'"):
        embed(pairs, encoder, f"precomputed:{file}:imag")
    with pytest.raises(SourceError, match="values that are not finite"):
        embed(pairs, encoder, f"precomputed:{file}:image")
    file.write_bytes(b"no tensors")
    with pytest.raises(SourceError, match=r"Cannot read the features '.*rows\.safetensors:image'"):
        embed(pairs, encoder, f"precomputed:{file}:image")


def test_what_takes_no_time_is_checked_before_images_are_decoded(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="pip install 'pairscope[teachers]'")
    with pytest.raises(
        ModelError, match=r"timm has no image model 'nonsuch'\. None of the 1,\d+ known names"
    ):
        check_teachers("timm:nonsuch", None)
    with pytest.raises(ModelError, match=r"no image model 'test_vit7'\. Did you mean 'test_vit"):
        check_teachers("timm:test_vit7", None)
    with pytest.raises(
        ModelError, match=r"precomputed:rows names no KEY; write precomputed:FILE\.safetensors:KEY"
    ):
        check_teachers("precomputed:rows", None)
    (tmp_path / "config.json").write_text("{}")
    spec = f"sentence-transformers:{tmp_path}"
    for each in (spec, f"plain-text:{spec}"):
        with pytest.raises(ModelError, match=r"The folder .* has no weights \(\*\.safetensors\)\. Copy or"):
            check_teachers(None, each)
    (tmp_path / "model.safetensors").write_bytes(b"")
    check_teachers("timm:test_vit", spec)


@pytest.mark.parametrize(
    ("image", "text", "message"),
    [
        ("tim:vit", None, r"no image teacher 'tim:vit'; one of features, timm:NAME.*Did you mean 'timm'"),
        ("lsa", None, "no image teacher 'lsa'"),
        ("features:x", None, "no image teacher 'features:x'"),
        (None, "features", "no text teacher 'features'; one of lsa, sentence-transformers:NAME"),
        (None, "sentence-transformer:x", "Did you mean 'sentence-transformers'"),
    ],
)
def test_unknown_teachers_are_named(
    pairs: PairSet, encoder: DualEncoder, image: str | None, text: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        embed(pairs, encoder, image, text)
