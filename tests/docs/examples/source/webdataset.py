"""WebDataset shards, the layout of LAION and DataComp: `webdataset:FILE.tar`."""

import tarfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.decoding import check_image
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Skipped

IMAGES, CAPTIONS = (".jpg", ".jpeg", ".png", ".webp"), ".txt"


def load(rest: str, *, limit: int | None = None) -> PairSet:
    """Read one shard: files that differ in their suffix alone are one sample, its .txt one caption a line.

    The shard is read into memory, which suits its usual size of some hundred megabytes.

    Args:
        rest: path of the .tar file.
        limit: at most this many images, the first ones.

    Raises:
        SourceError: no such file, not a tar file, or no usable image in it.
    """
    source = f"webdataset:{rest}"
    samples: dict[str, dict[str, bytes]] = defaultdict(dict)
    try:
        with tarfile.open(Path(rest)) as shard:
            for member in shard:
                if file := shard.extractfile(member):
                    name = PurePosixPath(member.name)
                    samples[name.with_suffix("").as_posix()][name.suffix.lower()] = file.read()
    except (OSError, tarfile.TarError) as error:
        raise SourceError(f"{source}: cannot be read ({error}).") from error

    rows: list[tuple[str, bytes, list[str]]] = []
    skipped: list[Skipped] = []
    for image_id, files in samples.items():
        if len(rows) == limit:
            break
        content = next((files[suffix] for suffix in IMAGES if suffix in files), None)
        if content is None:
            skipped.append(Skipped(image_id, f"no image ({', '.join(IMAGES)})"))
            continue
        try:
            check_image(content)
        except ImageError as error:
            skipped.append(Skipped(image_id, str(error)))
            continue
        captions = files.get(CAPTIONS, b"").decode("utf-8", "replace").splitlines()
        rows.append((image_id, content, [caption for caption in captions if caption.strip()]))
    if not rows:
        raise SourceError(f"{source}: none of its {len(samples)} samples has a usable image.")
    return _pair_set(rows, source, skipped)


def _pair_set(rows: list[tuple[str, bytes, list[str]]], source: str, skipped: list[Skipped]) -> PairSet:
    from datasets import Dataset, Features, Image, List, Value

    features = Features(
        {"image": Image(decode=False), "captions": List(Value("string")), "image_id": Value("string")}
    )
    columns = {
        "image": [{"bytes": content, "path": None} for _, content, _ in rows],
        "captions": [captions for *_, captions in rows],
        "image_id": [image_id for image_id, *_ in rows],
    }
    return PairSet(Dataset.from_dict(columns, features), source=source, skipped=skipped)
