"""The gallery of a visitor's pictures, built in a process of its own.

The process imports no Gradio. A picture that takes too much memory or time harms this process only, and
cancelling means killing it.
"""

from pathlib import Path

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import PairscopeError, QueryError
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from itr_core.pairs.decoding import UPLOAD_PIXELS
from itr_core.system.progress import Progress


def build_gallery(pictures: Path, model: str, folder: Path, *, progress: Progress) -> list[str]:
    """Embed the pictures of a folder, with the captions of a caption file among them.

    Args:
        pictures: Folder of the visitor's files.
        model: Spec of the encoder.
        folder: Where the gallery is written.
        progress: Called with the number of pictures done and in total.

    Returns:
        Notes on the source, such as captions that were repaired.

    Raises:
        QueryError: No picture can be used, or a caption file cannot be read. The message names no folder.
    """
    try:
        pairs = load_pairs(f"folder:{pictures}", max_megapixels=UPLOAD_PIXELS / 1e6)
        Gallery.build(pairs, load_encoder(model).fuse(), folder, progress=progress)
    except PairscopeError as error:
        raise QueryError(for_visitor(str(error), pictures)) from error
    return [for_visitor(note, pictures) for note in pairs.notes]


def for_visitor(message: str, pictures: Path) -> str:
    """Return a message about files in a folder without the folder, and without options of commands."""
    message = message.replace(f"folder:{pictures}: ", "").replace(f"{pictures}/", "")
    return message.replace(str(pictures), "your pictures").replace(" (see --max-megapixels)", "")
