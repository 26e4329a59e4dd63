"""Write a set of pairs in the layouts of other tools: parquet, Karpathy's JSON, a folder of images."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, get_args
from unicodedata import normalize

from itr_core.errors import ImageError, SourceError, did_you_mean
from itr_core.pairs.decoding import open_file
from itr_core.pairs.kinds import SUFFIXES
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Skipped
from itr_core.system.files import replace_folder, writing
from itr_core.system.progress import Progress

_MAX_BYTES = 200  # of a file name made from an id; file systems allow 255, of which a prefix takes some
Layout = Literal["parquet", "karpathy", "folder"]


class _Row(NamedTuple):
    name: str
    content: bytes
    captions: list[str]
    image_id: str
    labels: list[str] | None


def export(
    pairs: PairSet,
    layout: Layout,
    out: str | Path,
    *,
    split: str = "test",
    progress: Progress = lambda done, total: None,
) -> list[Skipped]:
    """Write `pairs` to the new folder `out`, completely or not at all.

    Image files are copied unchanged; images of Picturebook are written as PNG. File names are made from the
    image ids. Every layout has the ids themselves, so that loading it restores them.

    Args:
        pairs: the set to write.
        layout: "parquet": `pairs.parquet` with image, captions, image_id and labels (if the set has them), as
            `datasets` writes them. "karpathy": `images/` and `dataset.json`, without labels. "folder": images
            and `metadata.jsonl`, which also has the ids.
        out: a folder that does not exist.
        split: the split of all images in the layout "karpathy".
        progress: called with (rows done, rows in all).

    Returns:
        The images that were skipped because they cannot be decoded.

    Raises:
        SourceError: `out` exists, or no image can be decoded.
        WriteError: `out` cannot be written, for example because the disk is full.
    """
    if layout not in get_args(Layout):
        raise SourceError(f"Unknown layout {layout!r}.{did_you_mean(layout, get_args(Layout))}")
    out = Path(out)
    if out.exists():
        raise SourceError(f"{out} already exists; choose another folder.")
    skipped: list[Skipped] = []
    rows = _rows(pairs, skipped, progress)
    part = out.absolute().with_name(f".{out.absolute().name}.part")
    try:
        with writing(out):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            if layout == "parquet":
                _parquet(rows, part, labelled=pairs.labels is not None)
            elif layout == "karpathy":
                _karpathy(rows, part, pairs.source, split)
            else:
                _folder(rows, part)
            if len(skipped) == len(pairs):
                raise SourceError(f"{pairs.source}: none of its {len(pairs)} images can be decoded.")
            replace_folder(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return skipped


def _rows(pairs: PairSet, skipped: list[Skipped], progress: Progress) -> Iterator[_Row]:
    """Yield the rows of all decodable images; append the others to `skipped`."""
    names = _Names()
    for index, image_id in enumerate(pairs.image_ids):
        try:
            content, suffix = _file(pairs, index)
        except ImageError as error:
            skipped.append(Skipped(image_id, str(error).removeprefix(f"{image_id}: ")))
        else:
            name = names.add(_file_name(image_id, suffix), index)
            labels = pairs.labels[index] if pairs.labels is not None else None
            yield _Row(name, content, pairs.captions[index], image_id, labels)
        progress(index + 1, len(pairs))


class _Names:
    """File names that are different on every file system, also where upper and lower case are the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str, index: int) -> str:
        """Return the name, with `index` before it if another image has it or its folder is a file."""
        while not self._is_free(name):
            name = f"{index:06}-{name.replace('/', '-')}"
        self._taken.add(_key(name))
        self._folders.update(map(_key, map(str, PurePosixPath(name).parents)))
        return name

    def _is_free(self, name: str) -> bool:
        folders = {_key(str(folder)) for folder in PurePosixPath(name).parents}
        return _key(name) not in self._taken and _key(name) not in self._folders and not folders & self._taken


def _key(name: str) -> str:
    return normalize("NFC", name).casefold()


def _file(pairs: PairSet, index: int) -> tuple[bytes, str]:
    """Return the content of a decodable image file, and its suffix."""
    image, value = pairs.image(index), pairs.image_value(index)
    if isinstance(value, Mapping):
        with open_file(value) as file:
            suffix = Path(value.get("path") or "").suffix
            return file.read(), suffix if suffix.lower() in SUFFIXES else ".jpg"
    png = BytesIO()
    image.save(png, "PNG")
    return png.getvalue(), ".png"


def _file_name(image_id: str, suffix: str) -> str:
    """Make a relative path from the id: not hidden, inside the folder, short, with an image suffix."""
    parts = [re.sub(r"[^\w. ()+,=@-]", "_", part).strip(". ") for part in image_id.split("/")]
    name = "/".join(filter(None, parts)) or "_"
    if PurePosixPath(name).suffix.lower() not in SUFFIXES:
        name += suffix
    if len(name.encode()) > _MAX_BYTES:
        name = sha256(image_id.encode()).hexdigest() + PurePosixPath(name).suffix
    return name


def _save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _parquet(rows: Iterator[_Row], folder: Path, labelled: bool) -> None:
    from datasets import Features, Image, List, Value
    from pyarrow import Table, parquet

    texts = List(Value("string"))
    features = Features({"image": Image(), "captions": texts, "image_id": Value("string")})
    if labelled:
        features["labels"] = texts
    schema = features.arrow_schema
    with parquet.ParquetWriter(folder / "pairs.parquet", schema) as writer:
        while group := [
            {"image": {"bytes": row.content, "path": row.name}, **row._asdict()} for row in islice(rows, 100)
        ]:
            writer.write_table(Table.from_pylist(group, schema))


def _karpathy(rows: Iterator[_Row], folder: Path, source: str, split: str) -> None:
    images: list[dict[str, Any]] = []
    for row in rows:
        _save(folder / "images" / row.name, row.content)
        sentences = [{"raw": text, "tokens": re.findall(r"\w+", text.lower())} for text in row.captions]
        image = {"filename": row.name, "imgid": len(images), "split": split, "sentences": sentences}
        if re.fullmatch("[1-9][0-9]*", row.image_id):
            image["cocoid"] = int(row.image_id)
        elif row.image_id != row.name:
            image["image_id"] = row.image_id
        images.append(image)
    text = json.dumps({"dataset": source, "images": images}, ensure_ascii=False)
    (folder / "dataset.json").write_text(text, encoding="utf-8")


def _folder(rows: Iterator[_Row], folder: Path) -> None:
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as lines:
        for row in rows:
            _save(folder / row.name, row.content)
            record: dict[str, Any] = {"file_name": row.name, "captions": row.captions}
            if row.image_id != row.name:
                record["image_id"] = row.image_id
            if row.labels is not None:
                record["labels"] = row.labels
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
