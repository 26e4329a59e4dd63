"""Results that are shipped for the demo gallery, so that its pages open without computing anything."""

import json
from functools import partial
from pathlib import Path

import pandas as pd

import assets
from analysis.result_store import ResultStore, key
from analysis.result_versions import versions_of
from itr_core.gallery.manifest import Manifest

FOLDER = Path(assets.__file__).parent / "analysis"


def ready_made(manifest: Manifest, folder: Path = FOLDER) -> ResultStore:
    """Return the shipped results that hold for a gallery.

    Two galleries share results if they have the same source, options and model (by the fingerprints of their
    manifests) and the same numbers of images and captions.

    Args:
        manifest: Of any gallery; for most of them nothing is shipped.
        folder: The shipped results.
    """
    content = manifest.model_dump(
        mode="json", include={"source_fingerprint", "options", "model_fingerprint", "images", "captions"}
    )

    return ResultStore(folder, lambda name: key(json.dumps(content, sort_keys=True), *versions_of(name)))


def ship(results: ResultStore, manifest: Manifest, folder: Path = FOLDER) -> None:
    """Write the results of a gallery that are in memory to the shipped ones, in place of older versions."""
    shipped = ready_made(manifest, folder)
    for name, result in results.in_memory().items():
        if isinstance(result, pd.DataFrame):
            shipped.table(name, partial(pd.DataFrame.copy, result))
        else:
            shipped.arrays(name, partial(dict, result))
