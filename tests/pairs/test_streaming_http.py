"""Streaming over HTTP: which bytes are read, and what happens when the hub refuses or is away.

The hub is a stand-in (see hub_stand_in) that counts what it sends; the real hub is not reached.
"""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from itr_core import Gallery, load_encoder
from itr_core.pairs import load_pairs
from tests.hub_stand_in import TOKEN, Hub, commit_of, served_hub
from tests.pairs.hub_files import part, write


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
