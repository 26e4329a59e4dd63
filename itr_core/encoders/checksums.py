"""SHA-256 digests of the files of a checkpoint, compared when it is opened.

`checksums.json` lists every file that the model is made of. README.md is not listed, because people edit it.
Folders without `checksums.json` (from other tools, and from Pairscope 0.2) are opened unchecked.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256 as sha256_of_bytes
from pathlib import Path

from itr_core.errors import ModelError
from itr_core.system.files import sha256

CHECKSUMS = "checksums.json"
LAST = "last"
"""Folder inside the checkpoint of a training run, with the weights of its last step."""
STATE = "state.safetensors"
"""Training state of a run, inside its checkpoint."""


def write_checksums(folder: Path) -> None:
    """Write the digests of all files of a folder, except README.md."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    digests = {name: sha256(folder / name) for name in names if name not in ("README.md", CHECKSUMS)}
    (folder / CHECKSUMS).write_text(_text(digests), encoding="utf-8", newline="\n")


def listed_files(folder: Path) -> dict[str, str]:
    """Return the digest of every file by its name; empty if the folder has no `checksums.json`.

    Raises:
        ValueError: `checksums.json` is damaged.
    """
    try:
        text = (folder / CHECKSUMS).read_text(encoding="utf-8")
        digests: dict[str, str] = json.loads(text)["files"]
        if text != _text(digests) or any(Path(name).name != name for name in digests):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{CHECKSUMS} is damaged") from error
    return digests


def damage(folder: Path) -> str:
    """Name the files of a checkpoint that are not as they were written; empty if there are none."""
    try:
        digests = listed_files(folder)
    except ValueError as error:
        return str(error)
    missing = [name for name in digests if not (folder / name).is_file()]
    changed = [name for name in digests if name not in missing and sha256(folder / name) != digests[name]]
    found = [f"{name} is missing" for name in missing] + [f"{name} has changed" for name in changed]
    return ", ".join(found)


@contextmanager
def checked_files(folder: Path) -> Iterator[None]:
    """Compare the files of a checkpoint with their digests after the block, which loads it.

    A checkpoint that cannot even be loaded gets a message with both reasons.

    Raises:
        ModelError: The block raised it, or a file is missing or has changed. The message names the file, and
            the last good weights of the same training run, if there are any.
    """
    try:
        yield
    except ModelError as error:
        if found := damage(folder):
            raise ModelError(f"{error} {_message(folder, found)}") from error
        raise
    if found := damage(folder):
        raise ModelError(_message(folder, found))


def _message(folder: Path, found: str) -> str:
    return (
        f"The checkpoint {folder} is damaged: {found}. {_remedy(folder)} If you changed the file on purpose, "
        f"delete {folder / CHECKSUMS}."
    )


def _remedy(folder: Path) -> str:
    run = folder.parent if folder.name == LAST else folder
    for other, which in ((run, "best"), (run / LAST, "last")):
        if other != folder and (other / CHECKSUMS).is_file() and not damage(other):
            return f"The {which} weights of this run are whole: use {other}."
    if (run / STATE).is_file():
        return (
            "Its training state can replace it: repeat the command of the training with --resume, which "
            "writes the checkpoint again."
        )
    return "Copy or download it again."


def _text(digests: Mapping[str, str]) -> str:
    """Return the content of `checksums.json`, with a digest of itself."""
    checksum = sha256_of_bytes(json.dumps(digests).encode()).hexdigest()
    return json.dumps({"files": digests, "checksum": checksum}, indent=1) + "\n"
