"""A result that takes as long as a test wants; its process imports this module only."""

import os
import time
from pathlib import Path
from typing import Any

from itr_core.errors import GalleryError
from itr_core.system.progress import Progress


def compute(folder: Path, checksum: str, name: str, model: str, *, progress: Progress) -> dict[str, Any]:
    """Stand in for `analysis.worker.compute`: write the process id, wait for a file, return the result."""
    with (folder / f"{name}.runs").open("a") as file:
        file.write(f"{os.getpid()}\n")
    progress(3, 7)
    while not (folder / f"{name}.go").exists():
        time.sleep(0.01)
    if name == "damaged":
        raise GalleryError("no captions")
    return {name: model}
