"""Data sets of the hub whose pictures are read when they are used.

A local folder in the hub's layout is read in the same way as a set on the hub. What needs HTTP is tested
against a stand-in for the hub (see hub_stand_in), which counts the bytes that it sends; the real hub is not
reached.
"""

import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from itr_core import Gallery, load_encoder
from itr_core.errors import ImageError, SourceError
from itr_core.gallery.changes import Changes, changes
from itr_core.pairs import PairSet, load_pairs, row_groups
from itr_core.pairs.export import export
from itr_core.pairs.streamed_table import THREADS
from itr_core.system.workers import load_in_order
from tests.hub_stand_in import TOKEN, Hub, commit_of, served_hub

TEXTS = List(Value("string"))
NOISE = np.random.default_rng(0)


def picture() -> bytes:
    """Return a picture of noise of about 12 kB: smaller ones would be read together with their captions."""
    buffer = io.BytesIO()
    Image.fromarray(NOISE.integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(columns: Mapping[str, Any], features: Mapping[str, Any], *, rows: int = 4) -> bytes:
    """Return a parquet file as `datasets` writes it, with row groups of `rows` rows."""
    table = pa.table(dict(columns), schema=Features(features).arrow_schema)
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=rows)
    return out.getvalue()


def part(first: int, count: int, **more: Any) -> bytes:
    """Return a file of `count` pictures with ids, paths, two captions each, and a column nobody asks for."""
    names = [f"{number:04}" for number in range(first, first + count)]
    pictures = [{"bytes": picture(), "path": f"{name}.png"} for name in names]
    columns = {
        "image": pictures,
        "caption": [[f"noise {name}", "grey"] for name in names],
        "image_id": names,
        "embedding": [NOISE.random(3000) for _ in names],  # so that no picture is near the end of a file
    }
    features = {
        "image": ImageFeature(), "caption": TEXTS, "image_id": Value("string"),
        "embedding": List(Value("float32")),
    }  # fmt: skip
    return parquet(columns, features, **more)


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def both(folder: Path, split: str = "train", **options: Any) -> tuple[PairSet, PairSet]:
    """Return a set as it is without streaming and with it, after comparing all that is not a picture."""
    whole, streamed = (load_pairs(f"hub:{folder}:{split}", stream=each, **options) for each in (False, True))
    assert streamed.image_ids == whole.image_ids
    assert streamed.captions == whole.captions
    assert streamed.labels == whole.labels
    assert streamed.source == whole.source
    return whole, streamed


def assert_equal_pictures(one: PairSet, other: PairSet) -> None:
    for index in range(len(one)):
        assert one.image(index).tobytes() == other.image(index).tobytes()


def test_pairs_are_those_of_the_downloaded_set(tmp_path: Path) -> None:
    names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"]
    write(tmp_path / "set", dict(zip(names, (part(0, 10), part(10, 3), part(20, 2)), strict=True)))
    whole, streamed = both(tmp_path / "set")
    assert_equal_pictures(whole, streamed)
    assert_equal_pictures(whole.select([12, 3]), streamed.select([12, 3]))
    assert_equal_pictures(whole, pickle.loads(pickle.dumps(streamed)))  # as the workers of a cluster get it
    assert streamed.options == {"stream": True}
    both(tmp_path / "set", "test")
    _, few = both(tmp_path / "set", limit=11)
    assert len(few) == 11


def test_a_limit_reads_no_further_files(tmp_path: Path) -> None:
    names = [f"train-{number:05}-of-{THREADS + 2:05}.parquet" for number in range(THREADS + 2)]
    write(tmp_path, {name: part(2 * number, 2) for number, name in enumerate(names)})
    (tmp_path / names[-1]).write_text("not parquet at all")
    assert load_pairs(f"hub:{tmp_path}", stream=True, limit=2).image_ids == ["0000", "0001"]


@pytest.mark.parametrize(
    ("columns", "features", "options"),
    [
        # The paths of pictures are their ids.
        ({"caption": [["a"], ["b"], ["c"]]}, {"caption": TEXTS}, {}),
        # One row for each caption, and labels that are numbers.
        (
            {"text": ["a", "b", "c"], "image_id": [7, 7, 8], "label": [0, 0, 1], "path": ["x", "x", "y"]},
            {"text": Value("string"), "image_id": Value("int64"), "label": ClassLabel(names=["n", "m"])},
            {},
        ),
        # A key of a struct.
        (
            {"texts": [{"en": "a", "fr": "b"}] * 3},
            {"texts": {"en": Value("string"), "fr": Value("string")}},
            {"columns": {"captions": "texts.fr"}},
        ),
        # Karpathy's splits in a column.
        (
            {"caption": ["a", "b", "c"], "image_id": ["1", "2", "3"], "split": ["train", "test", "restval"]},
            {"caption": Value("string"), "image_id": Value("string"), "split": Value("string")},
            {},
        ),
        # No captions.
        ({"image_id": ["1", "2", "3"]}, {"image_id": Value("string")}, {"columns": {"captions": []}}),
    ],
)
def test_layouts(
    columns: dict[str, Any], features: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    columns = dict(columns)
    paths = columns.pop("path", ["x", "y", "z"])
    pictures = {path: picture() for path in paths}
    images = [{"bytes": pictures[path], "path": f"{path}.png"} for path in paths]
    content = parquet({"image": images, **columns}, {"image": ImageFeature(), **features})
    assert_equal_pictures(*both(write(tmp_path, {"train.parquet": content}), **options))


def test_a_column_of_bytes(tmp_path: Path) -> None:
    table = pa.table({"caption": ["a", "b"], "jpg": [picture(), picture()], "key": ["1", "2"]})
    pq.write_table(table, tmp_path / "train.parquet")
    assert_equal_pictures(*both(tmp_path, columns={"image_id": "key"}))


def test_rows_without_ids_are_not_joined(tmp_path: Path) -> None:
    image = {"bytes": picture(), "path": None}
    features = {"image": ImageFeature(), "caption": Value("string")}
    write(tmp_path, {"train.parquet": parquet({"image": [image] * 2, "caption": ["a", "b"]}, features)})
    assert len(load_pairs(f"hub:{tmp_path}:train")) == 1
    streamed = load_pairs(f"hub:{tmp_path}:train", stream=True)
    assert streamed.captions == [["a"], ["b"]]
    assert streamed.notes == [
        "2 rows without ids are images of their own: streamed pictures are not compared."
    ]


def test_a_row_without_a_picture_reads_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(picture())
    columns = {
        "image": [{"bytes": None, "path": str(tmp_path / "private.png")}, {"bytes": b"", "path": None}],
        "caption": ["a", "b"],
        "image_id": ["1", "2"],
    }
    features = {"image": ImageFeature(), "caption": Value("string"), "image_id": Value("string")}
    pairs = load_pairs(
        f"hub:{write(tmp_path / 'set', {'train.parquet': parquet(columns, features)})}", stream=True
    )
    with pytest.raises(ImageError, match="1: no image in this row, only a file name"):
        pairs.image(0)
    with pytest.raises(ImageError, match=r"2: empty file \(0 bytes\)"):
        pairs.image(1)


def test_an_export_has_the_files_as_they_are(tmp_path: Path) -> None:
    whole, streamed = both(write(tmp_path / "set", {"train.parquet": part(0, 2)}))
    export(streamed, "folder", tmp_path / "out")
    exported = {path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    assert exported == {whole.dataset[index]["image"]["bytes"] for index in range(2)}


def test_the_cache_is_bounded_and_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(row_groups, "CACHE", 120_000)  # two row groups of 4 pictures
    row_groups._row_group.cache_clear()
    whole, streamed = both(write(tmp_path / "set", {"train.parquet": part(0, 24)}))
    images = list(load_in_order(_Bytes(streamed), range(24), processes=2))
    assert images == [whole.image(index).tobytes() for index in range(24)]
    kept = list((tmp_path / "cache" / "row_groups").glob("*.arrow"))
    assert 1 <= len(kept) <= 2
    # The newest row group is among them.
    row_groups._row_group.cache_clear()
    times = {path: path.stat().st_ino for path in kept}
    streamed.image(23)
    assert {path: path.stat().st_ino for path in kept} == times


class _Bytes:
    def __init__(self, pairs: PairSet) -> None:
        self.pairs = pairs

    def __getitem__(self, index: int) -> bytes:
        return self.pairs.image(index).tobytes()


@pytest.mark.parametrize("processes", [0, 2])
def test_a_file_that_changes_is_noticed(processes: int, tmp_path: Path) -> None:
    pairs = load_pairs(f"hub:{write(tmp_path, {'train.parquet': part(0, 8)})}", stream=True)
    pairs.image(0)
    write(tmp_path, {"train.parquet": part(0, 8)})
    with pytest.raises(
        SourceError, match=rf"^{tmp_path}/train.parquet has changed since it was opened\.[^\n]*$"
    ):
        list(load_in_order(_Bytes(pairs), range(8), processes=processes))
    again = load_pairs(f"hub:{tmp_path}", stream=True)
    assert again.fingerprint != pairs.fingerprint
    assert load_pairs(f"hub:{tmp_path}", stream=True).fingerprint == again.fingerprint


def test_bad_sources(tmp_path: Path) -> None:
    text = {"caption": Value("string")}

    def refused(files: Mapping[str, bytes], message: str, **options: Any) -> None:
        folder = write(tmp_path / str(len(list(tmp_path.iterdir()))), files)
        with pytest.raises(SourceError, match=message) as caught:
            load_pairs(f"hub:{folder}:train", stream=True, **options)
        assert "\n" not in str(caught.value)

    refused({"train.csv": b"image,caption\na.jpg,a"}, r"only parquet .* not train.csv\. Remove --stream")
    refused(
        {"train.parquet": parquet({"image": ["a.jpg"], "caption": ["a"]}, text | {"image": Value("string")})},
        r"the column image has names of image files; only pictures inside of the parquet files can be",
    )
    refused(
        {"train.parquet": part(0, 1)},
        r"there is no column 'captoin'.* 'caption'",
        columns={"captions": "captoin"},
    )
    refused({"test.parquet": part(0, 1)}, r"unknown split 'train'. Known: test")
    refused({"train.parquet": part(0, 9)[:-900]}, r"train.parquet is no complete parquet file .*@REVISION")
    other = parquet({"image": [{"bytes": picture()}]}, {"image": ImageFeature()})
    refused(
        {"train-0-of-2.parquet": part(0, 1), "train-1-of-2.parquet": other},
        r"train-1-of-2.parquet has no column caption, which the first file of the split has",
    )
    with pytest.raises(SourceError, match="a folder source has no option stream; remove it"):
        load_pairs(f"folder:{tmp_path}", stream=True)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with served_hub() as server:
        yield server


def run(hub: Hub, tmp_path: Path, code: str, cache: str = "cache") -> subprocess.CompletedProcess[str]:
    """Run code in a process whose hub is the stand-in, since huggingface_hub reads its address on import."""
    settings = {
        "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_CACHE": str(tmp_path / "hf" / "datasets"), "HF_HUB_DISABLE_XET": "1",
        "PAIRSCOPE_CACHE": str(tmp_path / cache),
    }  # fmt: skip
    begin = (
        "import json, types; from huggingface_hub.utils import _http\n"
        "_http.time = types.SimpleNamespace(sleep=lambda seconds: None)\n"  # between repeated requests
        "from itr_core.pairs import load_pairs\n"
        "from itr_core.errors import PairscopeError\n"
    )
    return subprocess.run(
        [sys.executable, "-c", begin + code], env=os.environ | settings, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


NAMES = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
BUILD = """
from itr_core import Gallery, load_encoder
pairs = load_pairs("hub:org/set:train", stream=True)
encoder = load_encoder("starter:small-untrained")
try:
    built = Gallery.build(pairs, encoder, {out!r})
    print(json.dumps([len(built.items), pairs.image_ids]))
except PairscopeError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture
def files(hub: Hub) -> dict[str, bytes]:
    """Two files of a split with row groups of 16 pictures, and a file of another split, on the hub."""
    files = {NAMES[0]: part(0, 80, rows=16), NAMES[1]: part(80, 24, rows=16)}
    hub.repositories["datasets/org/set"] = files | {"data/test-00000-of-00001.parquet": part(0, 2)}
    return files


def chunks(files: Mapping[str, bytes], column: str) -> list[tuple[str, int, int]]:
    """Return where the parts of a column are: (file, first byte, byte after the last)."""
    found = []
    for name, content in files.items():
        metadata = pq.ParquetFile(io.BytesIO(content)).metadata
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                each = metadata.row_group(group).column(index)
                if each.path_in_schema.startswith(column):
                    start = each.dictionary_page_offset or each.data_page_offset
                    found.append((name, start, start + each.total_compressed_size))
    return found


def bytes_read(hub: Hub, chunks: list[tuple[str, int, int]]) -> list[int]:
    """Return how many bytes of each part of a column were sent, also repeatedly."""
    return [
        sum(max(0, min(stop, part.stop) - max(start, part.start)) for part in hub.ranges if part.name == name)
        for name, start, stop in chunks
    ]


def test_captions_are_read_without_pictures_and_each_picture_once(
    hub: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    pictures = chunks(files, "image.bytes")
    load = 'print(json.dumps(load_pairs("hub:org/set:train", stream=True).captions))'
    assert answer(run(hub, tmp_path, load)) == [[f"noise {number:04}", "grey"] for number in range(104)]
    assert not any(bytes_read(hub, pictures))
    footers = 3 * 65_536  # what pyarrow reads first of a file; the first file is opened to know the columns
    assert sum(part.stop - part.start for part in hub.ranges) <= footers + 20_000
    assert set(hub.requested) == set(files)
    assert {part.commit for part in hub.ranges} == {commit_of(hub.repositories["datasets/org/set"])}


def test_a_build_goes_on_after_the_network_was_away_and_reads_each_picture_once(
    hub: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    pictures = chunks(files, "image.bytes")
    out = tmp_path / "gallery"
    hub.broken.add(pictures[4][:2])  # the first picture after the first shard of 64
    message = answer(run(hub, tmp_path, BUILD.format(out=str(out))))
    assert re.fullmatch(
        rf"hf://datasets/org/set@\w+/{NAMES[0]} cannot be read \(HfHubHTTPError: .*503.*\)\. Check the "
        r"network [^\n]* repeat the command: a build goes on where it stopped[^\n]*",
        message,
    )
    assert not out.exists()
    hub.broken.clear()
    # The cache is empty, so what was encoded would be read again if it were needed.
    assert answer(run(hub, tmp_path, BUILD.format(out=str(out)), "cache2"))[0] == 104
    assert bytes_read(hub, pictures) == [stop - start for _, start, stop in pictures]
    whole = load_pairs(f"hub:{write(tmp_path / 'set', files)}:train")
    built = Gallery.build(whole, load_encoder("starter:small-untrained"), tmp_path / "whole")
    streamed = Gallery.open(out)
    assert np.array_equal(streamed.image_embeddings, built.image_embeddings)
    assert np.array_equal(streamed.text_embeddings, built.text_embeddings)
    assert streamed.items.equals(built.items)


def test_an_update_encodes_the_pictures_of_files_that_have_changed(tmp_path: Path) -> None:
    names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    write(tmp_path / "set", {names[0]: part(0, 5), names[1]: part(5, 3)})
    first = load_pairs(f"hub:{tmp_path / 'set'}:train", stream=True)
    gallery = Gallery.build(first, load_encoder("starter:small-untrained"), tmp_path / "gallery")
    assert gallery.manifest.options == {"stream": True}
    write(tmp_path / "set", {names[1]: part(5, 4)})
    now = load_pairs(gallery.manifest.source, **gallery.manifest.options)
    assert changes(gallery, now) == Changes(["0008"], ["0005", "0006", "0007"], [], 5)


def test_what_the_hub_refuses(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.repositories["datasets/org/closed"] = dict(files)
    hub.gated.add("org/closed")
    code = """
messages = []
for spec in ("hub:org/none:train", "hub:org/closed:train", "hub:org/set:val"):
    try:
        load_pairs(spec, stream=True)
    except PairscopeError as error:
        messages.append(str(error))
print(json.dumps(messages))
"""
    missing, closed, split = answer(run(hub, tmp_path, code))
    assert re.fullmatch(
        r"hub:org/none:train: Dataset 'org/none' doesn't exist .* Check the name; .*", missing
    )
    assert re.fullmatch(r"hub:org/closed:train: Dataset 'org/closed' is a gated .* `hf auth login`\.", closed)
    assert re.fullmatch(r"hub:org/set:val: unknown split 'val'\..* test, train\.?", split)
