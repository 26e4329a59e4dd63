"""A folder of images, with or without captions beside them: `folder:PATH`.

Captions may lie in files anywhere in the folder, and name images relative to themselves: `metadata.jsonl`
and `metadata.csv` (as `datasets`' imagefolder has them), and `captions.txt` in any of the forms in which
Flickr8k and Flickr30k go round: `name.jpg#0<TAB>caption`, `name.jpg,caption` and `name.jpg|0|caption`.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from itr_core.errors import SourceError
from itr_core.pairs.caption_files import NAMES, read_notes
from itr_core.pairs.columns import Columns
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.pairset import PairSet, Skipped

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def load(rest: str, *, columns: Columns | None = None, limit: int | None = None) -> PairSet:
    """Read the images under the folder `rest`, in the order of their paths, which are their ids.

    Images that no metadata names have no captions and are listed in `.uncaptioned`; files that metadata names
    but that are not there are in `.skipped`. Hidden files and folders are passed over.
    """
    source, root = f"folder:{rest}", Path(rest)
    if not root.is_dir():
        raise SourceError(f"{source}: no such folder.")
    files = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not images:
        raise SourceError(f"{source}: no image in it or its folders (looked for {', '.join(SUFFIXES)}).")

    captions: dict[Path, list[str]] = defaultdict(list)
    labels: dict[Path, list[str] | None] = {}
    missing: dict[str, Skipped] = {}
    places = _places(images)
    for path in _metadata(files):
        for note in read_notes(root / path, columns or {}):
            image = places.get((path.parent / note.file_name).as_posix()) or places.get(note.file_name)
            if image is None:
                missing[note.file_name] = Skipped(
                    note.file_name, f"named in {path.as_posix()}, but not there"
                )
            else:
                captions[image] += note.captions
                labels[image] = note.labels
    records = (Record(path.as_posix(), root / path, captions[path], labels.get(path)) for path in images)
    return pairs_of_files(records, source=source, skipped=missing.values(), limit=limit)


def _places(images: Iterable[Path]) -> dict[str, Path]:
    """Path or, where only one image has it, bare name -> image: captions.txt often lies above its images."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_name[image.name].append(image)
    alone = {name: found[0] for name, found in by_name.items() if len(found) == 1}
    return alone | {image.as_posix(): image for image in images}


def _metadata(files: Iterable[Path]) -> Iterable[Path]:
    """The file of metadata that counts in each folder."""
    chosen: dict[Path, Path] = {}
    for path in sorted(
        (path for path in files if path.name in NAMES), key=lambda path: NAMES.index(path.name)
    ):
        chosen.setdefault(path.parent, path)
    return chosen.values()
