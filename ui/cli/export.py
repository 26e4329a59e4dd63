"""`pairscope export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from itr_core.errors import ModelError
from itr_core.system.garbage import without_search
from ui.cli.options import MODEL_HELP, SOURCE_HELP, Json
from ui.cli.output import print_json, print_table, print_warning

CALIBRATION_IMAGES = 128


def export(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    runtime: Annotated[
        Literal["onnx", "openvino"], typer.Option(help="What will run the export.")
    ] = "openvino",
    precision: Annotated[
        Literal["fp32", "bf16", "int8"],
        typer.Option(help="Type that it computes in; bf16 with OpenVINO only."),
    ] = "fp32",
    check: Annotated[
        str | None,
        typer.Option(
            help="Source on which R@1 is compared with torch; without it, the export is not used. "
            f"{SOURCE_HELP}",
            show_default="picturebook:val for starters",
        ),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            help="Source of the training images and captions that int8 is calibrated on, of which "
            f"{CALIBRATION_IMAGES} are used.",
            show_default="picturebook:train for starters",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the export. `--runtime` finds it only in the default place.",
            show_default="exports/RUNTIME-PRECISION in the checkpoint, or in the cache",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a model for OpenVINO or ONNX Runtime, and measure whether it retrieves as well as in torch."""
    with without_search():
        from itr_core.encoders.dual_encoder import load_encoder
        from itr_core.evaluation.admission import measure_export
        from itr_core.evaluation.evaluate import decodable
        from itr_core.pairs import load_pairs
        from itr_core.runtimes.export import export as write
        from itr_core.runtimes.store import folder_of

    if model.startswith("starter:"):
        check, calibrate = check or "picturebook:val", calibrate or "picturebook:train"
    if calibrate and (calibrate == check or calibrate.endswith((":test", ":val"))):
        raise ModelError(f"--calibrate {calibrate}: calibrate on training images, not on those of a test.")
    with without_search():
        encoder = load_encoder(model, device="cpu").fuse()
    pairs = load_pairs(check) if check else None  # a wrong one is told now, not after the export
    training = load_pairs(calibrate, limit=CALIBRATION_IMAGES) if precision == "int8" and calibrate else None
    images, captions, kept = [], [], list[int]()
    if training:
        images = [encoder.prepare(image) for image in decodable(training, kept, [])]
        captions = [caption for row in kept for caption in training.captions[row][:1]]
    folder = out or folder_of(model, runtime, precision)
    write(encoder, folder, runtime, precision, calibration=(images, captions))
    found = measure_export(folder, encoder, pairs) if pairs else None
    if as_json:
        print_json({"path": str(folder), "check": found.model_dump() if found else None})
    elif found:
        rows = [(each.name, f"{each.torch:.2f}", f"{each.exported:.2f}") for each in found.figures]
        print_table(f"{folder}, measured on {found.source}", ("", "torch", "export"), rows)
    if found is None:
        print_warning("Not measured, so --runtime will not use it: repeat the command with --check SOURCE.")
    elif losses := found.losses():
        print_warning(f"--runtime will not use it, because too much R@1 is lost: {losses}.")
