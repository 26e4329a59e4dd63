"""The demo gallery, which is shipped in two archives, so that a first start draws and encodes nothing."""

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import assets
from itr_core.gallery.manifest import NAME, Manifest
from itr_core.system.files import replace_folder, sweep, temporary, writing

if TYPE_CHECKING:
    from itr_core.encoders.encoder import Encoder
    from itr_core.pairs import PairSet

FOLDER = Path(assets.__file__).parent / "gallery"
GALLERY, THUMBNAILS = "gallery.zip", "thumbnails.zip"
"""The gallery without its thumbnails, and these: apart, so that no file of the repository exceeds 10 MB."""


def unpack_shipped(pairs: "PairSet", encoder: "Encoder", folder: Path) -> None:
    """Write the shipped gallery to a folder, if it is one of the same pictures, captions and weights.

    Its thumbnails are smaller files than those of a build, of the same quality, and its embeddings are
    rounded to 12 bits after the leading one, so cosines differ from those of a build by less than 1e-4.

    Args:
        pairs: the source of the gallery that is needed.
        encoder: its model.
        folder: where it is written; need not exist.

    Raises:
        WriteError: The folder cannot be written.
    """
    with ZipFile(FOLDER / GALLERY) as gallery, ZipFile(FOLDER / THUMBNAILS) as thumbnails:
        manifest = Manifest.model_validate_json(gallery.read(NAME))
        shipped = manifest.source_fingerprint, manifest.model_fingerprint
        if shipped != (pairs.fingerprint, encoder.fingerprint):
            return
        sweep(folder.parent, folder.name)
        with writing(folder):
            part = temporary(folder)
            gallery.extractall(part)
            thumbnails.extractall(part)
            replace_folder(part, folder)
