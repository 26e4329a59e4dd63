"""Write a set of pairs in the layouts of other tools: parquet, Karpathy's JSON, a folder of images."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, get_args

from itr_core.errors import ImageError, SourceError, did_you_mean
from itr_core.pairs.decoding import open_file
from itr_core.pairs.folder import SUFFIXES
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Skipped
from itr_core.system.files import replace_folder
from itr_core.system.progress import Progress

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

    Image files are copied unchanged; images of Picturebook are written as PNG. File names are the image
    ids, so that loading the folder restores the ids (an id without an image suffix gets one).

    Args:
        pairs: the set to write.
        layout: "parquet": `pairs.parquet` with image, captions, image_id and labels (if the set has them), as
            `datasets` writes them. "karpathy": `images/` and `dataset.json`, without labels. "folder": images
            and `metadata.jsonl`.
        out: a folder that does not exist.
        split: the split of all images in the layout "karpathy".
        progress: called with (rows done, rows in all).

    Returns:
        The images that were skipped because they cannot be decoded.

    Raises:
        SourceError: `out` exists, no image can be decoded, or the disk is full.
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
    except OSError as error:
        raise SourceError(f"{out} cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return skipped


def _rows(pairs: PairSet, skipped: list[Skipped], progress: Progress) -> Iterator[_Row]:
    """Yield the rows of all decodable images; append the others to `skipped`."""
    taken: set[str] = set()
    for index, image_id in enumerate(pairs.image_ids):
        try:
            content, suffix = _file(pairs, index)
        except ImageError as error:
            skipped.append(Skipped(image_id, str(error).removeprefix(f"{image_id}: ")))
        else:
            name = _file_name(image_id, suffix)
            if (
                name.lower() in taken
            ):  # ids that differ only in case or in characters no file name can contain
                name = f"{index:06}-{name.replace('/', '-')}"
            taken.add(name.lower())
            labels = pairs.labels[index] if pairs.labels is not None else None
            yield _Row(name, content, pairs.captions[index], image_id, labels)
        progress(index + 1, len(pairs))


def _file(pairs: PairSet, index: int) -> tuple[bytes, str]:
    """Return the content of a decodable image file, and its suffix."""
    image, value = pairs.image(index), pairs.dataset[index]["image"]
    if isinstance(value, Mapping):
        with open_file(value) as file:
            return file.read(), Path(value.get("path") or "").suffix or ".jpg"
    png = BytesIO()
    image.save(png, "PNG")
    return png.getvalue(), ".png"


def _file_name(image_id: str, suffix: str) -> str:
    """Make a relative path from the id: not hidden, inside the folder, with an image suffix."""
    parts = [re.sub(r"[^\w. ()+,=@-]", "_", part).strip(". ") for part in image_id.split("/")]
    name = "/".join(filter(None, parts)) or "_"
    return name if PurePosixPath(name).suffix.lower() in SUFFIXES else name + suffix


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
        images.append(image)
    text = json.dumps({"dataset": source, "images": images}, ensure_ascii=False)
    (folder / "dataset.json").write_text(text, encoding="utf-8")


def _folder(rows: Iterator[_Row], folder: Path) -> None:
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as lines:
        for row in rows:
            _save(folder / row.name, row.content)
            record: dict[str, Any] = {"file_name": row.name, "captions": row.captions}
            if row.labels is not None:
                record["labels"] = row.labels
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
