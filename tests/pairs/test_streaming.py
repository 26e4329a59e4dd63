"""Data sets of the hub whose pictures are read when they are used.

A local folder in the hub's layout is read in the same way as a set on the hub; see also test_streaming_http.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Value
from datasets import Image as ImageFeature

from itr_core import Gallery, load_encoder
from itr_core.errors import ImageError, SourceError
from itr_core.gallery.changes import Changes, changes
from itr_core.pairs import PairSet, load_pairs, row_groups
from itr_core.pairs.export import export
from itr_core.pairs.streamed_table import THREADS
from itr_core.system.workers import load_in_order
from tests.pairs.hub_files import TEXTS, parquet, part, picture, write


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


@pytest.mark.parametrize("ids", [{}, {"id": [7, 8]}])  # numbers of captions
def test_rows_without_image_ids_are_not_joined(ids: dict[str, list[int]], tmp_path: Path) -> None:
    image = {"bytes": picture(), "path": None}
    features = {"image": ImageFeature(), "caption": Value("string"), **dict.fromkeys(ids, Value("int64"))}
    columns = {"image": [image] * 2, "caption": ["a", "b"], **ids}
    write(tmp_path, {"train.parquet": parquet(columns, features)})
    assert len(load_pairs(f"hub:{tmp_path}:train")) == 1
    streamed = load_pairs(f"hub:{tmp_path}:train", stream=True)
    assert streamed.captions == [["a"], ["b"]]
    columns["image"] = [image | {"path": path} for path in "xy"]
    write(tmp_path, {"train.parquet": parquet(columns, features)})
    assert load_pairs(f"hub:{tmp_path}:train", stream=True).notes == []
    assert streamed.notes == [
        "2 rows without image ids are images of their own: streamed pictures are not compared."
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


def test_an_update_encodes_the_pictures_of_files_that_have_changed(tmp_path: Path) -> None:
    names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    write(tmp_path / "set", {names[0]: part(0, 5), names[1]: part(5, 3)})
    first = load_pairs(f"hub:{tmp_path / 'set'}:train", stream=True)
    gallery = Gallery.build(first, load_encoder("starter:small-untrained"), tmp_path / "gallery")
    assert gallery.manifest.options == {"stream": True}
    write(tmp_path / "set", {names[1]: part(5, 4)})
    now = load_pairs(gallery.manifest.source, **gallery.manifest.options)
    assert changes(gallery, now) == Changes(["0008"], ["0005", "0006", "0007"], [], 5)
