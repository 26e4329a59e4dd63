"""Tables: parquet files, and data sets in the hub's layout under the column names of the sets people use."""

import io
import json
import tarfile
from collections.abc import Mapping
from errno import ENOSPC
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from tests.support import Paint

COLOURS = ("red", "green", "blue", "white")


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, columns: Mapping[str, Any], **features: Any) -> Path:
    """Write a parquet file as `datasets` does, with an image column of one colour a row.

    Rows of a column `colour` have these colours.
    """
    rows = len(next(iter(columns.values())))
    colours = columns.get("colour", [COLOURS[row % 4] for row in range(rows)])
    images = [{"bytes": picture(colour), "path": f"{row}.png"} for row, colour in enumerate(colours)]
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = Dataset.from_dict(columns).features
    types = Features({"image": ImageFeature(), **plain, **features})
    Dataset.from_dict({"image": images, **columns}, features=types).to_parquet(path)
    return path


def assert_colours(pairs: PairSet, *colours: str) -> None:
    shown = [pair.image.getpixel((0, 0)) for pair in pairs]
    assert shown == [Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in colours]


LAYOUTS: dict[str, dict[str, list[Any]]] = {
    "ours": {"captions": [["a", "b"], ["c"]], "image_id": ["x", "y"]},
    "jxie/flickr8k": {"caption_0": ["a", "c"], "caption_1": ["b", None]},
    "lmms-lab/flickr30k": {
        "caption": [["a", "b"], ["c"]],
        "sentids": [["0", "1"], ["2"]],
        "img_id": ["0", "1"],
        "filename": ["x.jpg", "y.jpg"],
    },
    "HuggingFaceM4/COCO": {
        "sentences": [
            [{"raw": "a", "tokens": ["a"]}, {"raw": "b", "tokens": ["b"]}],
            [{"raw": "c", "tokens": ["c"]}],
        ],
        "cocoid": [57870, 384029],
    },
    "lmms-lab/COCO-Caption": {
        "question": ["Describe it.", "Describe it."],
        "answer": [["a", "b"], ["c"]],
        "file_name": ["x.jpg", "y.jpg"],
    },
    "Mozilla/flickr30k-transformed-captions": {
        "alt_text": [["a", "b"], ["c"]],
        "filename": ["x.jpg", "y.jpg"],
    },
    "a row per caption": {
        "caption": ["a", "c", "b"],
        "image_id": [7, 8, 7],
        "colour": ["red", "green", "red"],
    },
    "a row per sentence": {
        "sentences": [{"raw": "a"}, {"raw": "c"}, {"raw": "b"}],
        "imgid": [7.0, 8.0, 7.0],
        "colour": ["red", "green", "red"],
    },
    "a row per caption without ids": {"caption": ["a", "c", "b"], "colour": ["red", "green", "red"]},
    "a row per numbered caption": {
        "id": [1, 2, 3],
        "caption": ["a", "c", "b"],
        "colour": ["red", "green", "red"],
    },
    "texts of lists": {"caption": ["['a', \"b\"]", '["c"]'], "filename": ["x.jpg", "y.jpg"]},
    "NumPy's lists": {"caption": ["['a' 'b']", "['c']"], "filename": ["x.jpg", "y.jpg"]},
    "caption and more": {"caption": ["a", "c"], "caption_1": ["b", None], "filename": ["x.jpg", "y.jpg"]},
    "img2dataset's JSON": {
        "json": ['{"url": "x", "caption": ["a", "b"]}', '{"caption": "c"}'],
        "filename": ["x.jpg", "y.jpg"],
    },
    "one language": {"captions": [{"en": ["a", "b"]}, {"en": ["c"]}], "filename": ["x.jpg", "y.jpg"]},
    "only tokens": {
        "sentences": [[{"tokens": ["a"]}, {"tokens": ["b"]}], [{"tokens": ["c"]}]],
        "filename": ["x.jpg", "y.jpg"],
    },
}
IDS = {
    "ours": ["x", "y"],
    "jxie/flickr8k": ["0.png", "1.png"],
    "HuggingFaceM4/COCO": ["57870", "384029"],
    "a row per caption": ["7", "8"],
    "a row per sentence": ["7", "8"],
    "a row per caption without ids": ["0.png", "1.png"],
    "a row per numbered caption": ["1", "2"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_layouts(layout: str, tmp_path: Path) -> None:
    pairs = load_pairs(f"parquet:{write(tmp_path / 'data.parquet', LAYOUTS[layout])}")
    assert pairs.captions == [["a", "b"], ["c"]]
    assert pairs.image_ids == IDS.get(layout, ["x.jpg", "y.jpg"])
    assert_colours(pairs, "red", "green")
    assert pairs.labels is None


def test_chosen_columns(tmp_path: Path) -> None:
    columns = {
        "caption": ["no", "no"],
        "first": ["a", "c"],
        "second": ["b", ""],
        "key": [5, 6],
        "kind": [1, 0],
    }
    kinds = ClassLabel(names=["cat", "dog"])
    path = write(tmp_path / "data.parquet", columns, kind=kinds)
    chosen = {"captions": ["first", "second"], "image_id": "key", "labels": "kind"}
    pairs = load_pairs(f"parquet:{path}", columns=chosen)
    assert pairs.captions == [["a", "b"], ["c"]]
    assert pairs.image_ids == ["5", "6"]
    assert pairs.labels == [["dog"], ["cat"]]
    assert load_pairs(str(path), columns={"captions": []}).captions == [[], []]
    with pytest.raises(SourceError, match=r"no column 'frist'. Did you mean 'first'"):
        load_pairs(str(path), columns={"captions": "frist"})
    with pytest.raises(SourceError, match=r"no column of images .* --columns image=NAME"):
        load_pairs(str(path), columns={"image": "key"})
    with pytest.raises(SourceError, match=r"no caption in kind, among the columns"):
        load_pairs(str(path), columns={"captions": "kind"})


def test_labels_are_read_where_they_are_called_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"captions": [["a"], []], "labels": [["dog", "sea"], None]},
                 labels=List(Value("string")))  # fmt: skip
    assert load_pairs(str(path)).labels == [["dog", "sea"], []]


def test_plain_bytes_and_plain_structs_are_images(tmp_path: Path) -> None:
    data = [picture("blue"), picture("white")]
    for name, column in (("bytes", data), ("struct", [{"bytes": one, "path": None} for one in data])):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"image": column, "caption": ["b", "w"]}), path)
        pairs = load_pairs(f"parquet:{path}")
        assert_colours(pairs, "blue", "white")
        assert pairs.image_ids == ["000000", "000001"]


def test_file_names_are_images_beside_the_table(paint: Paint, tmp_path: Path) -> None:
    paint("set/photos/a.png", "blue")
    table = pa.table({"file_name": ["photos/a.png", "photos/gone.png"], "caption": ["one", "two"]})
    pq.write_table(table, tmp_path / "set" / "table.parquet")
    pairs = load_pairs(f"parquet:{tmp_path}/set/table.parquet")
    assert_colours(pairs, "blue")
    assert pairs.image_ids == ["photos/a.png"]
    assert pairs.skipped[0].name == "photos/gone.png"
    paint("other/photos/gone.png", "red")
    pairs = load_pairs(f"parquet:{tmp_path}/set/table.parquet", image_root=tmp_path / "other")
    assert pairs.captions == [["two"]]


def test_several_files_a_glob_and_a_folder(tmp_path: Path) -> None:
    for part in range(3):
        columns = {"captions": [[f"{part}"]], "image_id": [f"id {part}"]}
        write(tmp_path / "data" / f"train-{part}.parquet", columns)
    folder = load_pairs(f"parquet:{tmp_path}/data")
    assert folder.image_ids == ["id 0", "id 1", "id 2"]
    assert load_pairs(f"{tmp_path}/data").image_ids == folder.image_ids
    assert load_pairs(f"parquet:{tmp_path}/data/*-[12].parquet").image_ids == ["id 1", "id 2"]
    assert load_pairs(f"parquet:{tmp_path}/data", limit=2).image_ids == ["id 0", "id 1"]


def test_bad_tables(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such parquet file"):
        load_pairs(f"parquet:{tmp_path}/gone.parquet")
    (tmp_path / "words.parquet").write_text("PAR1 these are words")
    with pytest.raises(SourceError, match="cannot be read as one parquet table"):
        load_pairs(str(tmp_path / "words.parquet"))
    path = write(tmp_path / "e.parquet", {"caption": ["x" * 100_001]})
    with pytest.raises(SourceError, match=r"no caption in caption, .* a caption of 100,001 characters"):
        load_pairs(str(path))
    path = write(tmp_path / "b.parquet", {"words": ["a"]})
    with pytest.raises(SourceError, match=r"no column of captions among words.*--columns captions=NAME"):
        load_pairs(str(path))
    pq.write_table(pa.table({"url": ["https://example.org/a.jpg"], "caption": ["a"]}), tmp_path / "c.parquet")
    with pytest.raises(SourceError, match=r"no column of images .* url, caption.*not downloaded from url"):
        load_pairs(f"{tmp_path}/c.parquet")
    pq.write_table(pa.table({"image": pa.array([], pa.binary()), "caption": []}), tmp_path / "d.parquet")
    with pytest.raises(SourceError, match="it has no rows"):
        load_pairs(f"{tmp_path}/d.parquet")
    with pytest.raises(SourceError, match="the columns of the files differ"):
        load_pairs(f"parquet:{tmp_path}/[bc].parquet")


def test_a_damaged_file_among_several_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"caption": ["a"]})
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    pairs = load_pairs(str(tmp_path))
    assert pairs.captions == [["a"]]
    assert pairs.skipped[0].name.endswith("b.parquet")
    assert "not a complete parquet file" in pairs.skipped[0].reason


def test_brackets_in_a_path_are_no_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "album [2019]" / "a[x].parquet", {"caption": ["a"]})
    for spec in (f"parquet:{path}", str(path), str(path.parent), f"parquet:{path.parent}/*.parquet"):
        assert load_pairs(spec).captions == [["a"]]


def test_a_missing_id_names_one_picture(tmp_path: Path) -> None:
    """Rows without an id have nothing in common; pandas writes ids as floats if some are missing."""
    for missing, ids, expected in (
        (None, ["x", None, None, None], ["x", "000001", "000002", "000003"]),
        (float("nan"), [7.0, float("nan"), float("nan"), 8.0], ["7", "000001", "000002", "8"]),
        ("", ["x", "", " ", "y"], ["x", "000001", "000002", "y"]),
    ):
        path = write(tmp_path / f"missing {missing}.parquet", {"caption": list("abcd"), "image_id": ids})
        pairs = load_pairs(str(path))
        assert pairs.image_ids == expected
        assert pairs.captions == [["a"], ["b"], ["c"], ["d"]]
        assert "Images without image_id, named by their rows" in pairs.notes[0]


def test_rows_without_an_id_and_of_equal_pictures_are_one_image(tmp_path: Path) -> None:
    columns = {
        "caption": list("abcd"),
        "image_id": ["x", None, None, None],
        "colour": ["red", "red", "blue", "red"],
    }
    pairs = load_pairs(str(write(tmp_path / "a.parquet", columns)))
    assert pairs.image_ids == ["x", "000001", "000002"]
    assert pairs.captions == [["a"], ["b", "d"], ["c"]]
    assert pairs.notes[0] == "3 rows without ids are 2 images: rows with equal pictures are joined."


def test_an_id_of_different_pictures_gets_numbers(tmp_path: Path) -> None:
    """As when the files of two splits count from zero."""
    columns = {
        "caption": list("abcde"),
        "image_id": [0, 1, 0, 1, 0],
        "colour": ["red", "blue", "white", "blue", "red"],
    }
    pairs = load_pairs(str(write(tmp_path / "a.parquet", columns)))
    assert pairs.image_ids == ["0", "1", "0 (2)"]
    assert pairs.captions == [["a", "e"], ["b", "d"], ["c"]]
    assert_colours(pairs, "red", "blue", "white")
    assert "Different pictures with one id, which get numbers: 1 (0 (2))." in pairs.notes


def test_rows_of_one_list_each_and_one_id_are_one_image(tmp_path: Path) -> None:
    columns = {
        "captions": [["a"], ["b"], ["c"]],
        "image_id": ["x", "x", "X"],
        "colour": ["red", "red", "blue"],
    }
    pairs = load_pairs(str(write(tmp_path / "a.parquet", columns)))
    assert (pairs.image_ids, pairs.captions) == (["x", "X"], [["a", "b"], ["c"]])


def test_joined_rows_are_noted(tmp_path: Path) -> None:
    columns = {"caption": list("abcd"), "colour": ["red", "blue", "red", "blue"]}
    pairs = load_pairs(str(write(tmp_path / "a.parquet", columns)))
    assert pairs.notes == ["4 rows without ids are 2 images: rows with equal pictures are joined."]


def test_equal_pictures_without_ids_are_one_image_for_every_kind_of_caption(tmp_path: Path) -> None:
    colours = ["red", "blue", "red"]
    layouts: dict[str, dict[str, list[Any]]] = {
        "lists": {"captions": [["a"], ["b"], ["c"]]},
        "columns": {"caption_0": ["a", "b", "c"], "caption_1": [None, None, None]},
        "structs": {"captions": [{"caption_0": "a"}, {"caption_0": "b"}, {"caption_0": "c"}]},
        "bytes": {"caption": [b"a", b"b", b"c"]},
    }
    for name, columns in layouts.items():
        pairs = load_pairs(str(write(tmp_path / f"{name}.parquet", {**columns, "colour": colours})))
        assert pairs.captions == [["a", "c"], ["b"]]
    photos = load_pairs(
        str(write(tmp_path / "photos.parquet", {"colour": colours})), columns={"captions": []}
    )
    assert len(photos) == 3


def test_rows_without_a_picture_are_named(tmp_path: Path) -> None:
    """A picture stored once for all captions of its id is the picture of all of them."""
    good = {"bytes": picture("red"), "path": "a.png"}
    images = [good, {"bytes": b"", "path": None}, None, {"bytes": None, "path": None}, None]
    ids = ["x", "y", "z", None, "x"]
    table: dict[str, list[Any]] = {"image": images, "caption": list("abcde"), "image_id": ids}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    pairs = load_pairs(f"{tmp_path}/a.parquet")
    assert (pairs.image_ids, pairs.captions) == (["x"], [["a", "e"]])
    assert [tuple(each) for each in pairs.skipped] == [
        ("y", "empty file (0 bytes)"), ("z", "no image in this row"), ("row 3", "no image in this row"),
    ]  # fmt: skip
    assert pairs.fingerprint
    pq.write_table(pa.table({name: values[1:4] for name, values in table.items()}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"none of its 3 rows has an image \(y: empty file"):
        load_pairs(f"{tmp_path}/b.parquet")


def test_tables_of_several_pictures_a_row_are_refused(tmp_path: Path) -> None:
    """As Winoground's: image_0 belongs to caption_0, and not to caption_1."""
    data = [{"bytes": picture("red"), "path": None}]
    table = {"image_0": data, "image_1": data, "caption_0": ["a"], "caption_1": ["b"]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(
        SourceError, match=r"several columns of images \(image_0, image_1\).*--columns image=image_0"
    ):
        load_pairs(f"{tmp_path}/a.parquet")
    chosen = load_pairs(f"{tmp_path}/a.parquet", columns={"image": "image_1", "captions": "caption_1"})
    assert chosen.captions == [["b"]]


def test_a_binary_column_of_hashes_is_no_picture(tmp_path: Path) -> None:
    table = {"sha": [b"123"], "jpg": [picture("red")], "txt": ["one\ntwo\u2028three"]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    pairs = load_pairs(f"{tmp_path}/a.parquet")
    assert pairs.captions == [["one", "two\u2028three"]]
    assert_colours(pairs, "red")


@pytest.mark.parametrize("fields", [("bytes",), ("bytes", "path"), ("path", "bytes", "width")])
def test_structs_of_images(fields: tuple[str, ...], tmp_path: Path) -> None:
    value = {"bytes": picture("red"), "path": "a.png", "width": 4}
    pq.write_table(
        pa.table({"photo": [{name: value[name] for name in fields}], "text": ["x"]}), tmp_path / "a.parquet"
    )
    assert_colours(load_pairs(f"{tmp_path}/a.parquet"), "red")


@pytest.mark.parametrize(
    "kind", [pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())]
)
def test_binary_types_of_arrow(kind: pa.DataType, tmp_path: Path) -> None:
    images = pa.array([picture("red"), picture("blue")], pa.binary())
    table = pa.table({"image": images.cast(kind), "text": pa.array(["x", "y"], pa.large_string())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert_colours(load_pairs(f"{tmp_path}/a.parquet"), "red", "blue")


@pytest.mark.parametrize("columns", [
    {"image": [[1, 2]], "caption": ["x"]},
    {"image": [None], "caption": ["x"]},
    {"image": [7], "caption": ["x"]},
    {"images": [[b"1", b"2"]], "caption": ["x"]},
    {"image": [b"no image"], "caption": [None]},
    {"image": [{"path": "a.png"}], "caption": ["x"]},
    {"a": [b"1"], "b": [b"2"], "caption": ["x"]},
    {"image": ["a.jpg"], "caption": [{"lang": "en", "content": "x"}]},
    {"image": ["a.jpg"], "caption": [3.5]},
    {"image": ["a.jpg"], "caption": [b"\xff\xd8\xff"]},
    {"image": ["a.jpg"], "caption": ["too long " * 20_000]},
])  # fmt: skip
def test_odd_columns_are_refused_in_one_sentence(columns: dict[str, list[Any]], tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(SourceError) as refused:
        load_pairs(f"{tmp_path}/a.parquet")
    assert "\n" not in str(refused.value)


def test_languages_are_named_and_chosen(tmp_path: Path) -> None:
    columns = {"captions": [{"en": ["a"], "de": ["b"]}, {"en": None, "de": ["c"]}]}
    path = str(write(tmp_path / "a.parquet", columns))
    pairs = load_pairs(path)
    assert sorted(map(sorted, pairs.captions)) == [["a", "b"], ["c"]]
    assert "--columns captions=captions." in pairs.notes[0]
    german = load_pairs(path, columns={"captions": "captions.de"})
    assert (german.captions, german.notes) == ([["b"], ["c"]], [])


def test_other_columns_of_captions_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"caption": ["a"], "title": ["b"], "price": [1]})
    assert load_pairs(str(path)).notes[0].endswith(": captions are read from caption, not from title.")


def test_class_names_are_labels_and_minus_one_is_none(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", {"caption": ["a", "b"], "label": [1, -1]}, label=ClassLabel(names=["x", "y"])
    )
    assert load_pairs(str(path)).labels == [["y"], []]


def test_text_that_is_not_utf8_is_repaired(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(pa.string(), 2, [None, *pa.array([b"caf\xe9", b"tea"]).buffers()[1:]])
    pq.write_table(
        pa.table({"image": [picture("red"), picture("blue")], "caption": texts}), tmp_path / "a.parquet"
    )
    assert load_pairs(f"{tmp_path}/a.parquet").captions == [["caf\ufffd"], ["tea"]]


# No network here: a local folder in the hub's layout goes the same way through datasets.load_dataset as a set
# on the hub, and stands in for one. What it cannot show is the download itself.


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    root = tmp_path / "org" / "set"
    for split, names in (("train", ["x", "y"]), ("test", ["z"])):
        columns = {"caption": [[name, name.upper()] for name in names], "filename": names}
        write(root / "data" / f"{split}-00000-of-00001.parquet", columns)
    (root / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - split: train\n    path: data/train-*\n  - split: test\n    path: data/test-*\n---\n# A set\n"
    )
    return root


def test_hub_splits(hub: Path) -> None:
    pairs = load_pairs(f"hub:{hub}:test")
    assert pairs.captions == [["z", "Z"]]
    assert pairs.source == f"hub:{hub}:test"
    assert load_pairs(f"hub:{hub}:train").image_ids == ["x", "y"]
    assert load_pairs(f"hub:{hub}:train", limit=1, columns={"image_id": "caption"}).image_ids == [
        "['x', 'X']"
    ]
    with pytest.raises(SourceError, match=r"the split is missing. Choose one of hub:.*:train, hub:.*:test"):
        load_pairs(f"hub:{hub}")
    with pytest.raises(SourceError, match=r"unknown split 'tests'. Did you mean 'test'"):
        load_pairs(f"hub:{hub}:tests")


def test_hub_reads_only_the_files_of_the_split(hub: Path) -> None:
    (hub / "data" / "train-00000-of-00001.parquet").write_text("not parquet at all")
    assert load_pairs(f"hub:{hub}:test").image_ids == ["z"]
    with pytest.raises(SourceError, match="cannot be loaded"):
        load_pairs(f"hub:{hub}:train")


def test_hub_splits_in_a_column(tmp_path: Path) -> None:
    columns = {
        "caption": [["a"], ["b"], ["c"], ["d"]],
        "split": ["train", "val", "restval", "test"],
        "filename": ["0", "1", "2", "3"],
    }
    write(tmp_path / "flickr30k" / "TEST-0.parquet", columns)
    whole = load_pairs(f"hub:{tmp_path}/flickr30k")
    assert len(whole) == 4
    for split, ids, colours in (("test", ["3"], ["white"]), ("train", ["0", "2"], ["red", "blue"])):
        pairs = load_pairs(f"hub:{tmp_path}/flickr30k:{split}")
        assert pairs.image_ids == ids
        assert_colours(pairs, *colours)
    with pytest.raises(SourceError, match=r"unknown split 'dev'. Known: restval, test, train, val"):
        load_pairs(f"hub:{tmp_path}/flickr30k:dev")


def test_a_hub_split_may_have_another_name_in_the_column(tmp_path: Path) -> None:
    """As in HuggingFaceM4/COCO: `validation` holds rows that say "val", and `train` some "restval"."""
    for name, says in (("train", ["train", "restval"]), ("validation", ["val", "val"])):
        write(tmp_path / "coco" / f"{name}.parquet", {"caption": [["a"], ["b"]], "split": says})
    assert len(load_pairs(f"hub:{tmp_path}/coco:validation")) == 2
    assert len(load_pairs(f"hub:{tmp_path}/coco:train")) == 2


def test_hub_webdataset_has_one_caption_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "wds"
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for key, colour in (("s0", "red"), ("s1", "blue")):
            for suffix, data in (("png", picture(colour)), ("txt", f"one {key}\ntwo {key}\n".encode())):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    pairs = load_pairs(f"hub:{folder}:train")
    assert pairs.captions == [["one s0", "two s0"], ["one s1", "two s1"]]
    assert pairs.image_ids == ["s0", "s1"]
    assert_colours(pairs, "red", "blue")


def test_hub_image_folder(paint: Paint, tmp_path: Path) -> None:
    for split, colour in (("train", "red"), ("test", "blue")):
        paint(f"set/{split}/a.png", colour)
        line = json.dumps({"file_name": "a.png", "caption_0": split, "caption_1": "again"})
        (tmp_path / "set" / split / "metadata.jsonl").write_text(line)
    pairs = load_pairs(f"hub:{tmp_path}/set:test")
    assert pairs.captions == [["test", "again"]]
    assert pairs.image_ids == ["a.png"]
    assert_colours(pairs, "blue")


def test_a_hub_set_of_one_split_without_a_column(tmp_path: Path) -> None:
    write(tmp_path / "set" / "test.parquet", {"caption": [["a"]]})
    assert len(load_pairs(f"hub:{tmp_path}/set")) == 1
    with pytest.raises(SourceError, match=r"unknown split 'val'. Known: test"):
        load_pairs(f"hub:{tmp_path}/set:val")


def test_a_loading_script_is_explained(tmp_path: Path) -> None:
    folder = tmp_path / "flickr30k"
    folder.mkdir()
    (folder / "flickr30k.py").write_text("raise SystemExit('run')")
    with pytest.raises(SourceError, match=r"loading script.*@refs/convert/parquet.*lmms-lab/flickr30k"):
        load_pairs(f"hub:{folder}:test")


def test_without_a_network_the_hub_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"^hub:no-such-org/no-such-set:test: .* Check the network"):
        load_pairs("hub:no-such-org/no-such-set:test")


@pytest.mark.parametrize(
    "error", [OSError(ENOSPC, "No space left on device"), OSError("Not enough disk space. Needed: 90 GB")]
)
def test_a_set_that_does_not_fit_on_the_disk_can_be_streamed(
    error: OSError, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", full)
    with pytest.raises(SourceError, match=r"^hub:.*:test: .*without downloading it \(--stream\)\.$"):
        load_pairs(f"hub:{hub}:test")
    assert load_pairs(f"hub:{hub}:test", stream=True).image_ids == ["z"]


def test_real_flickr8k(data_dir: Path) -> None:
    pairs = load_pairs(f"parquet:{data_dir / 'flickr8k' / 'dev.parquet'}")
    assert len(pairs) == 1000
    texts, image_of_caption = pairs.flat_captions()
    assert len(texts) == 5000
    assert image_of_caption[[0, 4, 5, 4999]].tolist() == [0, 0, 1, 999]
    assert all(name.endswith(".jpg") for name in pairs.image_ids)
    assert pairs.image(999).size == (192, 192)
    last = pairs.select(range(990, 1000))
    assert last.image(9).tobytes() == pairs.image(999).tobytes()
