"""A folder of images, with or without captions: `folder:PATH`.

Caption files can be anywhere in the folder; they name images relative to their own folder. They are
`metadata.jsonl` and `metadata.csv` (the layout of imagefolder in `datasets`), and `captions.txt` in the
forms of Flickr8k and Flickr30k: `name.jpg#0<TAB>caption`, `name.jpg,caption` and `name.jpg|0|caption`.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from itr_core.errors import SourceError
from itr_core.pairs.caption_files import choose_caption_files, read_caption_file
from itr_core.pairs.columns import Columns
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.identity import unique_ids
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report, Skipped

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def load(rest: str, *, columns: Columns | None = None, limit: int | None = None) -> PairSet:
    """Read the images under the folder `rest` in the order of their paths, which are their ids.

    Images that no caption file names have no captions and are listed in `PairSet.uncaptioned`. Files that are
    named in a caption file but missing are listed in `PairSet.skipped`. Hidden files and folders are ignored.
    """
    source, root = f"folder:{rest}", Path(rest)
    if not root.is_dir():
        raise SourceError(f"{source}: no such folder.")
    files = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not images:
        raise SourceError(f"{source}: the folder contains no images (searched for {', '.join(SUFFIXES)}).")

    captions: dict[Path, list[str]] = defaultdict(list)
    labels: dict[Path, list[str] | None] = {}
    named: dict[Path, str] = {}
    missing: dict[str, Skipped] = {}
    by_path = _images_by_path(images)
    report = Report()
    for path in choose_caption_files(files, report):
        for row in read_caption_file(root / path, columns or {}, report):
            image = by_path.get((path.parent / row.file_name).as_posix()) or by_path.get(row.file_name)
            if image is None:
                missing[row.file_name] = Skipped(row.file_name, f"named in {path.as_posix()}, but missing")
            else:
                captions[image] += row.captions
                labels[image] = row.labels
                named[image] = row.image_id or image.as_posix()
    ids = unique_ids([named.get(path, path.as_posix()) for path in images], report)
    records = (
        Record(image_id, root / path, captions[path], labels.get(path))
        for image_id, path in zip(ids, images, strict=True)
    )
    skipped = [*report.skipped, *missing.values()]
    return pairs_of_files(records, source=source, skipped=skipped, notes=report.notes, limit=limit)


def _images_by_path(images: Iterable[Path]) -> dict[str, Path]:
    """Map paths and unique file names to images, because captions.txt is often above its images."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_name[image.name].append(image)
    unique = {name: found[0] for name, found in by_name.items() if len(found) == 1}
    return unique | {image.as_posix(): image for image in images}
