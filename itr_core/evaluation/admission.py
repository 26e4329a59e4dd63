"""Measure an exported model against torch: serving admits it only if R@1 is kept."""

import shutil
from pathlib import Path

from itr_core.encoders import Encoder
from itr_core.encoders.checksums import CHECKSUMS
from itr_core.errors import ModelError
from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.evaluate import decodable
from itr_core.evaluation.protocols import PROTOCOLS
from itr_core.pairs import PairSet
from itr_core.runtimes.encoder import ExportedEncoder
from itr_core.runtimes.manifest import NAME, Check, Figures
from itr_core.runtimes.store import finish_export
from itr_core.system.files import temporary, writing


def measure_export(folder: Path, encoder: Encoder, pairs: PairSet) -> Check:
    """Measure an export on a source, write the figures into its manifest, and return them.

    R@1 on the given pairs is measured in both directions: with both towers of the export, and with its texts
    among images that torch encoded, as a gallery that torch built is searched.

    Args:
        folder: the export.
        encoder: the same model in torch.
        pairs: images with captions on which neither the model was trained nor the export calibrated.

    Raises:
        ModelError: The export is of another model, or the source has no captions.
    """
    exported = ExportedEncoder(folder)
    if exported.fingerprint != encoder.fingerprint:
        raise ModelError(f"{folder} is an export of another model than {encoder.spec}. Export it again.")
    kept: list[int] = []
    images = encoder.encode_images(decodable(pairs, kept, []))
    usable = pairs.select(kept)
    captions = usable.flat_captions()[0]
    if not captions:
        raise ModelError(f"{pairs.source} has no captions, so R@1 cannot be measured; name another source.")
    texts, faster = encoder.encode_texts(captions), exported.encode_texts(captions)
    both = exported.encode_images(decodable(usable, [], []))
    torch = _recall(Embedded(usable, images, texts))
    measured = {"": _recall(Embedded(usable, both, faster))}
    measured["texts only, "] = _recall(Embedded(usable, images, faster))
    figures = [
        Figures(name=f"{part}{name}", torch=torch[name], exported=found[name])
        for part, found in measured.items()
        for name in torch
    ]
    check = Check(source=pairs.source, images=len(usable), figures=figures)
    _store(folder, exported, check)
    return check


def _recall(source: Embedded) -> dict[str, float]:
    """Return R@1 in percent by direction."""
    metrics = {metric.name: metric.value for metric in PROTOCOLS["standard"](source)}
    return {"T2I R@1": float(metrics["t2i_r1"]), "I2T R@1": float(metrics["i2t_r1"])}


def _store(folder: Path, exported: ExportedEncoder, check: Check) -> None:
    """Replace the folder by one with the same files and a manifest with the figures."""
    new = temporary(folder)
    merged = exported.export.model_copy(update={"check": check})
    try:
        with writing(folder):
            new.mkdir()
            for path in folder.iterdir():
                (new / path.name).hardlink_to(path)
            for name in (NAME, CHECKSUMS):  # the links must not be written through
                (new / name).unlink()
            finish_export(new, merged, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
