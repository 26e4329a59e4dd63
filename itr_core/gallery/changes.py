"""What has changed in a source since a gallery was built from it."""

from typing import NamedTuple

from itr_core.gallery.gallery import Gallery
from itr_core.gallery.source_table import read_source_files
from itr_core.pairs import PairSet


class Changes(NamedTuple):
    """Differences of a source from a gallery, as image ids.

    Attributes:
        added: Images that the source did not have.
        changed: Images with another content, other captions or other labels.
        removed: Images that the source no longer has.
        unchanged: Number of all other images, those that could not be decoded included.
    """

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: int


def changes(gallery: Gallery, pairs: PairSet) -> Changes:
    """Compare a source with a gallery.

    An image file is read only if its size or its time of change differs from what it was at the build.

    Args:
        gallery: Built from this source, or from an earlier state of it.
        pairs: The source.

    Raises:
        ImageError: A file cannot be read.
    """
    known = read_source_files(gallery.path)
    pairs.expect_files(known)
    items = gallery.items
    labels = [None if each is None else list(each) for each in items["labels"]]
    before = dict(zip(items["image_id"], zip(items["captions"], labels, strict=True), strict=True))
    added, changed = [], []
    for row, (image_id, file) in enumerate(zip(pairs.image_ids, pairs.files, strict=True)):
        same_file = known.get(image_id, file).digest == file.digest
        now = pairs.captions[row], pairs.labels[row] if pairs.labels is not None else None
        if image_id not in before and image_id not in known:
            added.append(image_id)
        elif not same_file or before.get(image_id, now) != now:
            changed.append(image_id)
    present = set(pairs.image_ids)
    removed = [image_id for image_id in before if image_id not in present]
    return Changes(added, changed, removed, len(pairs) - len(added) - len(changed))
