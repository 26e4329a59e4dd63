"""Write any set of pairs in a layout that other ITR code reads: parquet, Karpathy's JSON, or a folder."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from itr_core.errors import SourceError, did_you_mean
from itr_core.files import replace_folder, whole_file
from itr_core.pairs.folder import SUFFIXES
from itr_core.pairs.images import open_file
from itr_core.pairs.pairset import PairSet

_ROWS = 256


def export(pairs: PairSet, to: str, out: str | Path, *, split: str = "test") -> Path:
    """Write `pairs` to `out`, which must not exist yet, whole or not at all; return what `load_pairs` reads.

    to: "parquet": one file, images within; "karpathy": a folder with dataset.json, in which every image is of
      `split` and labels are lost, and images/; "folder": a folder of images and metadata.jsonl.

    Image files are copied as they are; drawn images are saved as PNG. In the two folders a file's name is its
    image id, so that an id without an image's suffix gets one.
    Raises SourceError, and ImageError where an image cannot be read.
    """
    if to not in _WRITERS:
        raise SourceError(f"Cannot export to {to!r}.{did_you_mean(to, _WRITERS)}")
    out = Path(out)
    if out.exists():
        raise SourceError(f"{out} already exists; remove it or choose another name.")
    out.parent.mkdir(parents=True, exist_ok=True)
    return _WRITERS[to](pairs, out, split)


def _parquet(pairs: PairSet, out: Path, split: str) -> Path:
    from datasets import Features, Image, List, Value
    from pyarrow import Table
    from pyarrow.parquet import ParquetWriter

    features = {"image": Image(), "captions": List(Value("string")), "image_id": Value("string")}
    if pairs.labels is not None:
        features["labels"] = List(Value("string"))
    schema = Features(features).arrow_schema
    with whole_file(out) as part, ParquetWriter(part, schema) as writer:
        for start in range(0, len(pairs), _ROWS):
            rows = [
                {"image": {"bytes": content, "path": name}, "captions": captions, "image_id": image_id}
                | ({"labels": labels} if labels is not None else {})
                for name, content, captions, image_id, labels in _records(pairs, start, start + _ROWS)
            ]
            writer.write_table(Table.from_pylist(rows, schema))
    return out


def _karpathy(pairs: PairSet, out: Path, split: str) -> Path:
    numbers = count()
    with _whole_folder(out) as part:
        images = []
        for imgid, (name, content, captions, image_id, _) in enumerate(_records(pairs, 0, len(pairs))):
            _save(part / "images" / name, content)
            sentences = [
                {
                    "raw": text,
                    "tokens": re.findall(r"[\w'-]+", text.lower()),
                    "imgid": imgid,
                    "sentid": sentid,
                }
                for text, sentid in zip(captions, numbers, strict=False)
            ]
            sentids = [sentence["sentid"] for sentence in sentences]
            image = {
                "filename": name,
                "split": split,
                "imgid": imgid,
                "sentids": sentids,
                "sentences": sentences,
            }
            images.append(
                image | ({"cocoid": int(image_id)} if re.fullmatch("[1-9][0-9]*", image_id) else {})
            )
        dataset = {"dataset": pairs.source, "images": images}
        (part / "dataset.json").write_text(json.dumps(dataset, ensure_ascii=False), encoding="utf-8")
    return out / "dataset.json"


def _folder(pairs: PairSet, out: Path, split: str) -> Path:
    with _whole_folder(out) as part, (part / "metadata.jsonl").open("w", encoding="utf-8") as lines:
        for name, content, captions, _, labels in _records(pairs, 0, len(pairs)):
            _save(part / name, content)
            note: dict[str, Any] = {"file_name": name, "captions": captions}
            lines.write(
                json.dumps(note | ({"labels": labels} if labels is not None else {}), ensure_ascii=False)
            )
            lines.write("\n")
    return out


_WRITERS: dict[str, Callable[[PairSet, Path, str], Path]] = {
    "parquet": _parquet,
    "karpathy": _karpathy,
    "folder": _folder,
}

_Record = tuple[str, bytes, list[str], str, list[str] | None]


def _records(pairs: PairSet, start: int, stop: int) -> Iterator[_Record]:
    """Yield file name, file content, captions, id and labels of the images from `start` to `stop`."""
    for index in range(start, min(stop, len(pairs))):
        value = pairs.dataset[index]["image"]
        image_id = pairs.image_ids[index]
        suffix = ".png"
        if isinstance(value, Mapping):
            with open_file(value) as file:
                content = file.read()
            suffix = Path(value.get("path") or "").suffix or ".jpg"
        else:
            buffer = BytesIO()
            pairs.image(index).save(buffer, "PNG")
            content = buffer.getvalue()
        labels = pairs.labels[index] if pairs.labels is not None else None
        yield _file_name(image_id, suffix), content, pairs.captions[index], image_id, labels


def _file_name(image_id: str, suffix: str) -> str:
    """A relative path made of the id: nothing hidden, nothing outside the folder, and an image's suffix."""
    parts = (re.sub(r"[^\w. ()+,=@-]", "_", part).lstrip(".") or "_" for part in image_id.split("/") if part)
    name = "/".join(parts)
    return name if PurePosixPath(name).suffix.lower() in SUFFIXES else name + suffix


def _save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise SourceError(
            f"Two image ids would both be the file {path.name!r}; rename one of them."
        ) from error


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out`; it takes `out`'s name only if the block succeeds."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        yield part
        replace_folder(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
