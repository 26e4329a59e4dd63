"""Where exports are, and which of them may be used.

An export is used if it was made on this machine and has not changed since, if the checkpoint still has the
weights that were exported, and if R@1 was kept. An export that comes with a downloaded checkpoint is not
used, because its files and figures could be anything.
"""

from pathlib import Path
from shlex import quote
from urllib.parse import quote as escape

from itr_core.encoders.checksums import CHECKSUMS, listed_files, write_checksums
from itr_core.encoders.foreign_json import read_json, validate
from itr_core.encoders.model_specs import STARTERS, local_weights
from itr_core.errors import ModelError
from itr_core.runtimes.manifest import NAME, RUNTIMES, TOLERANCE, Export
from itr_core.system.files import cache_dir, replace_folder, sha256

PRECISIONS = ("int8", "bf16", "fp32")
"""The fastest first: of several exports that may be used, the first is."""
_MADE_HERE = "made-here.txt"


def folder_of(spec: str, runtime: str, precision: str) -> Path:
    """Return the folder of an export: inside a checkpoint folder of the user, else in the cache."""
    weights = local_weights(spec)
    if len(weights) > 1 and weights[0].parent.parent != STARTERS:
        return weights[0].parent / "exports" / f"{runtime}-{precision}"
    return cache_dir("exports") / escape(spec, safe="") / f"{runtime}-{precision}"


def require_whole(folder: Path, name: str) -> Path:
    """Return a file of an export after comparing it with its digest.

    Raises:
        ModelError: It is missing or has changed.
    """
    try:
        digest = listed_files(folder).get(name)
    except ValueError as error:
        raise ModelError(f"The export {folder} is damaged: {error}. Export the model again.") from error
    path = folder / name
    if digest is None or not path.is_file() or sha256(path) != digest:
        raise ModelError(
            f"The export {folder} is damaged: {name} is missing or has changed. Export the model again."
        )
    return path


def read_export(folder: Path) -> Export:
    """Read the manifest of an export.

    Raises:
        ModelError: It is missing or damaged.
    """
    path = require_whole(folder, NAME)
    return validate(Export, read_json(path), path)


def finish_export(part: Path, about: Export, folder: Path) -> None:
    """Add the manifest and the digests to the files of an export, and move it into place.

    It is recorded as made on this machine, by the digest of all its files.

    Args:
        part: the files, in a temporary folder.
        about: the manifest.
        folder: of the export; one that exists is replaced.
    """
    (part / NAME).write_text(about.model_dump_json(indent=1), encoding="utf-8")
    write_checksums(part)
    # Recorded before it is in place, so that an export in place is always recorded. The first line end ends
    # what a full disk has left of an earlier line.
    with (cache_dir("exports") / _MADE_HERE).open("a", encoding="utf-8") as file:
        file.write(f"\n{sha256(part / CHECKSUMS)}\n")
    replace_folder(part, folder)


def usable_export(spec: str, runtime: str) -> Path:
    """Return the folder of the fastest export of a model that may be used.

    Raises:
        ModelError: There is none. The message names the figures and the remedy.
    """
    if runtime not in RUNTIMES:
        raise ModelError(f"No runtime {runtime!r}; one of torch, {', '.join(RUNTIMES)}.")
    reasons = []
    for precision in PRECISIONS:
        folder = folder_of(spec, runtime, precision)
        if (folder / NAME).is_file():
            reason = _reason_against(folder, spec)
            if not reason:
                return folder
            reasons.append(f"{precision} {reason}")
    source = "" if spec.startswith("starter:") else " --check SOURCE"
    command = f"pairscope export {quote(spec)} --runtime {runtime}{source}"
    if not reasons:
        raise ModelError(f"{spec} has not been exported for {runtime}. Export it: {command}")
    raise ModelError(
        f"No export of {spec} for {runtime} may be used: {'; '.join(reasons)}. Export it again, or with "
        f"another --precision: {command}"
    )


def _reason_against(folder: Path, spec: str) -> str:
    """Say why an export may not be used; empty if it may."""
    if not made_here(folder):
        return "was not made on this machine, or has changed since"
    export = read_export(folder)
    now = {path.name: path for path in local_weights(spec)}
    if now.keys() != {each.name for each in export.weights} or not all(
        each.is_same(now[each.name]) for each in export.weights
    ):
        return "is of other weights than the checkpoint has now"
    if export.check is None:
        return "was not measured (--check)"
    if losses := export.check.losses():
        return (
            f"loses more than {TOLERANCE} points of R@1 on the {export.check.images} images of "
            f"{export.check.source}: {losses}"
        )
    return ""


def made_here(folder: Path) -> bool:
    """Return whether an export was made on this machine and has not changed since."""
    try:
        known = (cache_dir("exports") / _MADE_HERE).read_text(encoding="utf-8").split()
        return sha256(folder / CHECKSUMS) in known
    except OSError:
        return False
