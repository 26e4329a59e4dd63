"""Galleries of the Hugging Face hub, `hub-gallery:ORG/NAME[@REVISION]`: see `pairscope publish gallery`."""

import re
import shutil
from pathlib import Path

from itr_core.errors import GalleryError, reason_of
from itr_core.gallery.manifest import ITEMS, NAME, is_gallery
from itr_core.system.files import cache_dir, replace_folder, temporary

SCHEME = "hub-gallery:"
_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@\w[\w./-]*)?")
_FILES = (NAME, ITEMS, "*.npy", "thumbnails/*")
"""Files of a gallery; its card and whatever else is in the repository stay on the hub."""


def local_gallery(spec: str) -> str:
    """Return the folder of a gallery on the hub, downloaded once; any other spec is returned unchanged.

    Args:
        spec: `hub-gallery:ORG/NAME`, with `@REVISION` for a branch, a tag or a commit. A commit that was
            downloaded before needs no network.

    Raises:
        GalleryError: The name is not of this form, the hub cannot be reached, or it has no such gallery.
    """
    if not spec.startswith(SCHEME):
        return spec
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    name = spec.removeprefix(SCHEME)
    if not _NAME.fullmatch(name):
        raise GalleryError(f"{spec!r} names no gallery of the hub; write {SCHEME}ORG/NAME or ...@REVISION.")
    repository, _, revision = name.partition("@")
    root = cache_dir("galleries") / "hub" / repository.replace("/", "--")
    if is_gallery(known := root / revision / repository.partition("/")[2]) and len(revision) == 40:
        return str(known)
    try:
        listed = hf_hub_download(repository, NAME, repo_type="dataset", revision=revision or None)
        commit = Path(listed).parent.name
        folder = root / commit / repository.partition("/")[2]
        if not is_gallery(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            part = temporary(folder)
            snapshot_download(
                repository, repo_type="dataset", revision=commit, allow_patterns=list(_FILES), local_dir=part
            )
            shutil.rmtree(part / ".cache", ignore_errors=True)  # of the client
            replace_folder(part, folder)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise GalleryError(
            f"{spec} cannot be downloaded ({reason_of(error)}). Check the name and the network; for a "
            "private gallery, log in with `hf auth login` or set HF_TOKEN."
        ) from error
    return str(folder)
