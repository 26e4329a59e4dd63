"""Galleries of sources, which are kept in the cache."""

import logging
from contextlib import suppress
from glob import escape

from itr_core.encoders import Encoder
from itr_core.errors import PairscopeError
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import Manifest
from itr_core.gallery.shipped import unpack_shipped
from itr_core.gallery.source_table import read_source_files
from itr_core.pairs import PairSet
from itr_core.system.files import cache_dir
from itr_core.system.progress import Progress

log = logging.getLogger(__name__)


def cached_gallery(name: str, pairs: PairSet, encoder: Encoder, progress: Progress) -> Gallery:
    """Open the gallery of a source and a model, which is unpacked or built if the cache does not have it.

    Args:
        name: Name of the set of pictures.
        pairs: The source.
        encoder: The model.
        progress: Called with the number of images done and in total while the gallery is built.

    Raises:
        PairscopeError: The gallery can be neither opened nor built.
    """
    if earlier := _newest(name, pairs, encoder):
        pairs.expect_files(read_source_files(earlier.path))
    folder = cache_dir("galleries") / f"{name}-{pairs.fingerprint[:12]}-{encoder.fingerprint[:12]}"
    if earlier and earlier.path == folder:
        return earlier
    if not folder.exists():
        unpack_shipped(pairs, encoder, folder)
    if folder.exists():
        try:
            return Gallery.open(folder)
        except PairscopeError as error:  # a damaged cache can be rebuilt
            log.warning("Rebuilding the cached gallery: %s", error)
    log.info("Building the gallery %s.", folder)
    gallery = Gallery.build(pairs, encoder, folder, earlier=earlier, progress=progress)
    if skipped := gallery.manifest.skipped:
        first = f"{skipped[0].name}: {skipped[0].reason}"
        log.warning("%s: %d images or lines are skipped, the first is %s", name, len(skipped), first)
    return gallery


def _newest(name: str, pairs: PairSet, encoder: Encoder) -> Gallery | None:
    """Return the newest cached gallery of the same source and model, of which unchanged images are reused."""
    folders = cache_dir("galleries").glob(f"{escape(name)}-*-{encoder.fingerprint[:12]}")
    for folder in sorted(folders, key=lambda each: each.stat().st_mtime, reverse=True):
        with suppress(PairscopeError):  # a damaged one
            if Manifest.read(folder).source == pairs.source:
                return Gallery.open(folder)
    return None
