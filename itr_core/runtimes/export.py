"""Write the towers of a model for a runtime, with what serving needs, as one folder."""

import importlib.util
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from itr_core.encoders import DualEncoder
from itr_core.encoders.encoder import Pixels
from itr_core.encoders.model_specs import local_weights
from itr_core.errors import ModelError
from itr_core.runtimes.manifest import NAME, Export, WeightFile
from itr_core.runtimes.preparation import TextIds
from itr_core.runtimes.store import finish_export
from itr_core.runtimes.tokenizer_export import exported_tokenizer
from itr_core.runtimes.towers import ImageModule, text_module
from itr_core.system.files import cache_dir, sweep, temporary, writing

_LIBRARIES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino", "nncf")}
"""What each runtime needs: torch writes ONNX, which OpenVINO converts, and `nncf` quantises."""


def export(
    encoder: DualEncoder,
    folder: Path,
    runtime: str,
    precision: str = "fp32",
    *,
    calibration: tuple[Sequence[Pixels], Sequence[str]] = ((), ()),
) -> Export:
    """Write a model into a folder atomically; an existing export is replaced, and has to be measured again.

    Args:
        encoder: the model, on the CPU in float32.
        folder: of the export.
        runtime: 'onnx' or 'openvino'.
        precision: 'fp32', 'bf16' (OpenVINO only) or 'int8'.
        calibration: for int8, training images that `prepare` returned, and their captions.

    Raises:
        ModelError: The model or the precision cannot be exported, a library is missing, or `folder` has other
            files than an export.
        WriteError: The folder or the cache cannot be written.
    """
    if folder.exists() and not (folder / NAME).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise ModelError(f"{folder} exists and is no export; choose another folder, or move this one.")
    if missing := [name for name in _LIBRARIES[runtime] if importlib.util.find_spec(name) is None]:
        raise ModelError(
            f"An export for {runtime} needs {' and '.join(missing)}: pip install 'pairscope[{runtime}]'"
        )
    if runtime == "onnx" and precision == "bf16":
        raise ModelError("ONNX Runtime cannot run bf16 on CPUs: use --precision int8 or --runtime openvino.")
    if precision == "int8" and not (calibration[0] and calibration[1]):
        raise ModelError("int8 needs training images with captions: name them with --calibrate SOURCE.")
    if encoder.heads.roles.extra_weight or encoder.heads.roles.uni_modal:
        raise ModelError(f"{encoder.spec} searches with more than its two towers, which is not exported.")
    settings = encoder.model.visual.preprocess_cfg
    if encoder.resize_mode == "longest":
        raise ModelError(f"{encoder.spec} pads its images (resize_mode longest), which is not exported.")
    text, any_length = text_module(encoder)
    tokenizer, pad_id, cleaning = exported_tokenizer(encoder.tokenizer)
    size = settings["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if encoder.resize_mode == "shortest" and height != width:
        raise ModelError(f"{encoder.spec} crops images to {height} x {width}; only squares are exported.")
    about = Export(
        model=encoder.spec,
        model_fingerprint=encoder.fingerprint,
        runtime=runtime,  # type: ignore[arg-type]  # validated by pydantic
        precision=precision,  # type: ignore[arg-type]  # validated by pydantic
        dim=encoder.dim,
        size=[height, width],
        resize_mode=encoder.resize_mode,  # type: ignore[arg-type]  # validated by pydantic
        interpolation=settings["interpolation"],
        context_length=encoder.context_length,
        any_length=any_length,
        pad_id=pad_id,
        clean=cleaning,  # type: ignore[arg-type]  # validated by pydantic
        weights=[WeightFile.of(path) for path in local_weights(encoder.spec)],
    )
    cache_dir("exports", lasting=True)  # an export that is not recorded there would not be used
    sweep(folder.parent, folder.name)
    part = temporary(folder)
    try:
        with writing(folder):
            part.mkdir(parents=True)
            (part / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
            words = "".join(f"{word}\n" for word in sorted(encoder.words))
            (part / "words.txt").write_text(words, encoding="utf-8")
            ids = TextIds(part / "tokenizer.json", about)
            images, captions = calibration
            blank = torch.zeros(2, 3, height, width, dtype=torch.uint8)
            _write(ImageModule(encoder), blank, part / "image", about, [pixels[None] for pixels in images])
            example = torch.from_numpy(ids(["a dog on the beach", "two cats"]))
            _write(text, example, part / "text", about, [ids([caption]) for caption in captions])
            finish_export(part, about, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return about


def _write(module: torch.nn.Module, example: Any, path: Path, about: Export, calibration: list[Any]) -> None:
    """Write one tower as `path` with the suffixes of the runtime."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:  # deleted with the part of a killed export
        file = Path(scratch) / "tower.onnx"
        axes = {0: "batch", 1: "length"} if path.name == "text" and about.any_length else {0: "batch"}
        with _traceable(), warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # the tracer warns of every constant shape
            torch.onnx.export(
                module.eval(), (example,), str(file), input_names=["input"], output_names=["embedding"],
                dynamic_axes={"input": axes, "embedding": {0: "batch"}}, opset_version=17, dynamo=False,
            )  # fmt: skip
        if about.runtime == "onnx":
            _save_onnx(file, path.with_suffix(".onnx"), about, calibration)
        else:
            _save_openvino(file, path.with_suffix(".xml"), about, calibration)


@contextmanager
def _traceable() -> Iterator[None]:
    """Switch off the fused attention of PyTorch, which ONNX has no operator for."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _save_onnx(file: Path, target: Path, about: Export, calibration: list[Any]) -> None:
    if about.precision == "fp32":
        shutil.move(file, target)
        return
    from onnxruntime import quantization

    # reduce_range: weights have 7 bits. With 8, sums of two products exceed 16 bits on processors without
    # VNNI and are cut, wherever the export was made.
    if target.stem == "text":  # activations of transformers vary by token: their ranges are found at run time
        types = ["MatMul", "Gemm", "Gather"]
        quantization.quantize_dynamic(
            file, target, per_channel=True, reduce_range=True, op_types_to_quantize=types
        )
        return

    types = ["MatMul", "Gemm", "Conv"]
    quantization.quantize_static(
        file, target, _Rows(calibration), per_channel=True, reduce_range=True, op_types_to_quantize=types
    )


def _save_openvino(file: Path, target: Path, about: Export, calibration: list[Any]) -> None:
    import openvino

    model = openvino.Core().read_model(str(file))
    if about.precision == "int8":
        import nncf

        nncf.set_log_level("ERROR")
        with redirect_stdout(sys.stderr):  # its progress bars
            if target.stem == "text":  # with activations in int8, the starter lost 5 points of I2T R@1
                model = nncf.compress_weights(model)
            else:
                model = nncf.quantize(
                    model,
                    nncf.Dataset(calibration),
                    subset_size=len(calibration),
                    model_type=nncf.ModelType.TRANSFORMER,
                )
    openvino.save_model(model, str(target), compress_to_fp16=False)


class _Rows:
    """Inputs one by one, as onnxruntime's CalibrationDataReader; naming it would import the library."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = iter(rows)

    def get_next(self) -> Any:
        row = next(self._rows, None)
        return None if row is None else {"input": row}
