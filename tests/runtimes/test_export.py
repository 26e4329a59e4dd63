"""Exported towers answer as those of torch do, and serving admits only exports that were measured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from itr_core import DualEncoder, Gallery, load_encoder, load_pairs
from itr_core.encoders.checkpoints import save
from itr_core.encoders.checksums import write_checksums
from itr_core.errors import ModelError
from itr_core.evaluation.admission import measure_export
from itr_core.runtimes.encoder import ExportedEncoder, open_runtime
from itr_core.runtimes.export import export
from itr_core.runtimes.manifest import NAME, Check, Export, Figures
from itr_core.runtimes.store import finish_export, folder_of, usable_export
from ui.cli import app

TEXTS = ["a dog", "Two young children, don't they? 123 é 日本 &amp;", "", "red " * 200]
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
SIGLIP = {
    "embed_dim": 32,
    "custom_text": True,
    "init_logit_bias": -10,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "pool_type": "avg"},
    "text_cfg": {
        "context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2,
        "no_causal_mask": True, "pool_type": "last", "proj_bias": True,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DualEncoder]:
    """A ViT as CLIP's, a tower that sees its padding as SigLIP's, and the ResNet of the starter."""
    folder = tmp_path_factory.mktemp("configs")
    for name, config in (("runtime-tiny", TINY), ("runtime-padded", SIGLIP)):
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    names = {"clip": "runtime-tiny/none", "siglip": "runtime-padded/none", "starter": "starter:infonce"}
    return {
        key: load_encoder(spec, device="cpu", resize="squash" if key == "siglip" else "shortest")
        for key, spec in names.items()
    }


@pytest.fixture(scope="module")
def exported(
    encoders: dict[str, DualEncoder], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], ExportedEncoder]:
    """Each of the models in fp32 for both runtimes."""
    folder, found = tmp_path_factory.mktemp("exports"), {}
    for key, encoder in encoders.items():
        for runtime in ("onnx", "openvino"):
            path = folder / f"{key}-{runtime}"
            export(encoder, path, runtime)
            found[key, runtime] = ExportedEncoder(path)
    return found


def pictures() -> list[Image.Image]:
    """Return noise of several modes and shapes."""
    rng, found = np.random.default_rng(0), []
    for mode, size in (("RGB", (64, 40)), ("L", (33, 90)), ("RGBA", (300, 20)), ("RGB", (7, 200))):
        pixels = rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
        found.append(Image.fromarray(pixels).convert(mode))
    return found


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("key", ["clip", "siglip", "starter"])
def test_embeddings_equal_those_of_torch(encoders: Any, exported: Any, key: str, runtime: str) -> None:
    torch, export = encoders[key], exported[key, runtime]
    assert (export.fingerprint, export.dim) == (torch.fingerprint, torch.dim)
    np.testing.assert_allclose(export.encode_texts(TEXTS), torch.encode_texts(TEXTS), atol=2e-5)
    np.testing.assert_allclose(export.encode_images(pictures()), torch.encode_images(pictures()), atol=1e-4)
    assert export.encode_texts([]).shape == export.encode_images([]).shape == (0, torch.dim)


@pytest.mark.parametrize("key", ["clip", "siglip", "starter"])
def test_images_are_resized_and_cropped_as_open_clip_does(encoders: Any, exported: Any, key: str) -> None:
    for picture in pictures():
        ours, theirs = exported[key, "onnx"].prepare(picture), encoders[key].prepare(picture)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("key", ["clip", "starter"])
def test_tokens_equal_those_of_open_clip(encoders: Any, exported: Any, key: str) -> None:
    tokenizer, ids = encoders[key].tokenizer, exported[key, "onnx"]._ids

    @settings(max_examples=150, deadline=None, derandomize=True)
    # Regular expressions of the two libraries differ on code points that no version of Unicode assigns.
    @given(st.text(st.characters(exclude_categories=("Cn", "Co", "Cs")), max_size=60))
    def same(text: str) -> None:
        ours, theirs = ids([text])[0], tokenizer([text])[0].numpy()
        assert ours.tolist() == theirs[: len(ours)].tolist()
        assert (theirs[len(ours) :] == ids.export.pad_id).all()

    same()


def test_a_short_query_stays_short(exported: Any) -> None:
    assert exported["clip", "onnx"]._ids(["a dog"]).shape == (1, 4)
    assert exported["siglip", "onnx"]._ids(["a dog"]).shape == (1, 16)  # it was trained with padding


@pytest.mark.parametrize("text", ["a dog", "red " * 200, "x" * 900, ""])
def test_texts_are_cut_at_the_same_word(encoders: Any, exported: Any, text: str) -> None:
    assert exported["clip", "onnx"].split_at_context(text) == encoders["clip"].split_at_context(text)


def test_words_without_training_are_named(encoders: Any, exported: Any) -> None:
    words = "a dog on a zeppelin"
    assert exported["starter", "onnx"].unseen_words(words) == encoders["starter"].unseen_words(words) != []


def test_int8_stays_close(encoders: Any, tmp_path: Path) -> None:
    encoder = encoders["clip"]
    pixels = [encoder.prepare(picture) for picture in pictures()]
    export(encoder, tmp_path / "e", "onnx", "int8", calibration=(pixels, TEXTS))
    found = ExportedEncoder(tmp_path / "e")
    assert (found.encode_texts(TEXTS) * encoder.encode_texts(TEXTS)).sum(1).min() > 0.99
    assert (found.encode_images(pixels) * encoder.encode_images(pixels)).sum(1).min() > 0.97


def test_what_cannot_be_exported_is_refused_with_a_sentence(encoders: Any, tmp_path: Path) -> None:
    for runtime, precision, reason in (("onnx", "bf16", "bf16"), ("openvino", "int8", "--calibrate")):
        with pytest.raises(ModelError, match=reason):
            export(encoders["clip"], tmp_path / "e", runtime, precision)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named(encoders: Any, tmp_path: Path) -> None:
    export(encoders["clip"], tmp_path / "e", "onnx")
    with (tmp_path / "e" / "text.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=r"text\.onnx is missing or has changed"):
        ExportedEncoder(tmp_path / "e").encode_texts(["a dog"])


def stored(encoder: DualEncoder, check: Check | None, spec: str | None = None) -> Path:
    """Write an export in its default place, with these figures."""
    folder = folder_of(spec or encoder.spec, "onnx", "fp32")
    about = export(encoder, folder, "onnx")
    part = folder.rename(folder.with_name("part"))
    finish_export(part, about.model_copy(update={"check": check}), folder)
    return folder


def kept(r1: float = 52.0) -> Check:
    """Return figures of an export with this R@1, of a model with 52."""
    return Check(source="s", images=2, figures=[Figures(name="T2I R@1", torch=52.0, exported=r1)])


@pytest.mark.parametrize(
    ("r1", "message"),
    [
        (None, "fp32 was not measured"),
        (51.69, r"loses more than 0\.3 points of R@1 on the 2 images of s: T2I R@1 51\.69 instead of 52\.00"),
        (51.7, ""),
    ],
)
def test_only_measured_exports_that_keep_recall_are_used(
    encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, r1: float | None, message: str
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path))
    spec = encoders["clip"].spec
    with pytest.raises(ModelError, match="has not been exported for onnx"):
        open_runtime(spec, "onnx")
    stored(encoders["clip"], None if r1 is None else kept(r1))
    if message:
        with pytest.raises(ModelError, match=message):
            open_runtime(spec, "onnx")
    else:
        assert open_runtime(spec, "onnx").encode_texts(["a dog"]).shape == (1, 32)


def test_an_export_of_a_checkpoint_is_beside_it_and_belongs_to_its_weights(
    encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    clip = encoders["clip"]
    save(tmp_path / "model", clip.model, clip.tokenizer, clip.config)
    spec = str(tmp_path / "model")
    assert stored(load_encoder(spec, device="cpu"), kept()) == tmp_path / "model" / "exports" / "onnx-fp32"
    weights = tmp_path / "model" / "open_clip_model.safetensors"
    weights.touch()  # the same content
    assert open_runtime(spec, "onnx").dim == clip.dim
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"other weights than the checkpoint has now\. Export it again.*export"
    ):
        open_runtime(spec, "onnx")


def test_exports_of_other_machines_are_not_used(
    encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path))
    folder = stored(encoders["clip"], None)
    about = Export.model_validate_json((folder / NAME).read_text())
    (folder / NAME).write_text(about.model_copy(update={"check": kept()}).model_dump_json())
    write_checksums(folder)
    with pytest.raises(ModelError, match="not made on this machine, or has changed since"):
        open_runtime(encoders["clip"].spec, "onnx")


@pytest.mark.parametrize(("runtime", "library"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_runtime_names_its_extra(
    exported: Any, monkeypatch: pytest.MonkeyPatch, runtime: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModelError, match=rf"pip install 'pairscope\[{runtime}\]'"):
        ExportedEncoder(exported["clip", runtime].folder).encode_texts(["a dog"])


@pytest.mark.parametrize("library", ["onnx", "openvino", "nncf"])
def test_a_library_that_an_export_needs_is_missed_before_it_begins(
    encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModelError, match=rf"needs {library}: pip install 'pairscope\[openvino\]'"):
        export(encoders["clip"], tmp_path / "export", "openvino")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_other_files_is_not_replaced(encoders: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    for folder in (tmp_path, tmp_path / "photo.jpg"):
        with pytest.raises(ModelError, match="exists and is no export; choose another folder"):
            export(encoders["clip"], folder, "onnx")
    assert (tmp_path / "photo.jpg").read_bytes() == b"a photo"


def test_a_source_that_is_missing_is_told_before_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itr_core.runtimes.export.export", lambda *_, **__: pytest.fail("exported"))
    out, source = str(tmp_path / "export"), str(tmp_path / "nosuch")
    for options in (["--check", source], ["--precision", "int8", "--calibrate", source]):
        refused = CliRunner().invoke(app, ["export", "starter:infonce", "--out", out, *options])
        assert refused.exit_code == 2
        assert source in refused.stderr.replace("\n", "")


def test_tokens_need_torch(exported: Any) -> None:
    with pytest.raises(ModelError, match="--runtime torch"):
        exported["clip", "onnx"].encode_texts(["a dog"], tokens=True)


def test_an_export_of_the_starter_is_measured_and_searches_without_torch(
    encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    encoder, pairs = encoders["starter"], load_pairs("picturebook:val", limit=60)
    folder = folder_of("starter:infonce", "onnx", "fp32")
    export(encoder, folder, "onnx")
    check = measure_export(folder, encoder, pairs)
    assert check.losses() == ""
    assert [each.exported for each in check.figures] == [each.torch for each in check.figures]
    Gallery.build(pairs, encoder, tmp_path / "gallery")
    program = (
        "import sys; sys.argv[1:] = ['search', sys.argv[1], 'a dog', '--runtime', 'onnx', '--json']\n"
        "from ui.cli import app\n"
        "app(standalone_mode=False)\n"
        "slow = {'torch', 'open_clip', 'transformers', 'datasets', 'pandas'}\n"
        "print(slow & set(sys.modules), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "gallery")], capture_output=True, text=True, check=True
    )
    assert run.stderr.strip() == "set()"
    found = json.loads(run.stdout)["hits"]
    slow = CliRunner().invoke(app, ["search", str(tmp_path / "gallery"), "a dog", "--json"])
    expected = json.loads(slow.stdout)["hits"]
    assert [hit["item_id"] for hit in found] == [hit["item_id"] for hit in expected]


def test_calibration_on_test_images_is_refused() -> None:
    command = ["export", "starter:infonce", "--precision", "int8", "--calibrate", "picturebook:test"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "calibrate on training images" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_int8_of_the_starter_is_admitted(
    encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path))
    command = ["export", "starter:infonce", "--runtime", runtime, "--precision", "int8"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert usable_export("starter:infonce", runtime).name == f"{runtime}-int8"
