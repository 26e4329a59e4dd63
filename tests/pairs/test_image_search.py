"""Names in tables lead to files inside of the folders that the user named, and to no others."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from itr_core.errors import ImageError, SourceError
from itr_core.pairs import load_pairs
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.image_search import ImageSearch
from tests.support import Paint


def find(table: Path, name: str, image_root: Path | None = None, *, follow_links: bool = False) -> Path:
    options = FileOptions(follow_links=follow_links)
    return ImageSearch.beside(table, image_root, options).find([name])


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname", "../private/a.jpg", "x/../../private/a.jpg", "..\\private\\a.jpg", "file:///etc/hostname",
        "C:/../../private/a.jpg", "{private}/a.jpg", "../../../../../../../../etc/hostname",
        "{data}/../private/a.jpg", "{data}-old/a.jpg",
    ],
)  # fmt: skip
@pytest.mark.parametrize("follow_links", [False, True])
def test_names_that_lead_out_are_refused(name: str, follow_links: bool, paint: Paint, tmp_path: Path) -> None:
    paint("private/a.jpg")
    paint("data-old/a.jpg")
    (tmp_path / "data").mkdir()
    name = name.format(private=tmp_path / "private", data=tmp_path / "data")
    with pytest.raises(
        ImageError, match=r"^outside of .*/data; name the folder of the images with --image-root$"
    ):
        find(tmp_path / "data" / "table.csv", name, follow_links=follow_links)


def test_the_message_does_not_tell_whether_a_file_outside_exists(paint: Paint, tmp_path: Path) -> None:
    paint("private/a.jpg")
    messages = set()
    for name in ("../private/a.jpg", "../private/gone.jpg"):
        with pytest.raises(ImageError) as caught:
            find(tmp_path / "data" / "table.csv", name)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_absolute_and_climbing_names_inside_are_read(paint: Paint, tmp_path: Path) -> None:
    image = paint("data/images/a.jpg")
    table = tmp_path / "data" / "table.csv"
    for name in (str(image), image.as_uri(), "x/../images/a.jpg", "images\\a.jpg", "a.jpg", " a.jpg "):
        assert find(table, name) == image


def test_an_image_root_is_a_folder_that_the_user_named(paint: Paint, tmp_path: Path) -> None:
    image = paint("photos/deep/a.jpg")
    table = tmp_path / "data" / "table.csv"
    for name in ("a.jpg", "deep/a.jpg", str(image), "../photos/deep/a.jpg"):
        root = tmp_path / "photos" / ("deep" if name == "a.jpg" else "")
        assert find(table, name, root) == image
    with pytest.raises(ImageError, match=r"outside of .*/photos/deep; name"):
        find(table, str(paint("photos/b.jpg")), tmp_path / "photos" / "deep")


@pytest.mark.parametrize(
    ("table", "image", "name"),
    [
        ("annotations/captions_val2017.json", "val2017/1.jpg", "1.jpg"),
        ("annotations/captions_val2017.json", "images/val2017/1.jpg", "1.jpg"),
        ("annotations/coco.json", "val2014/1.jpg", "val2014/1.jpg"),
        ("dataset.json", "images/1.jpg", "1.jpg"),
        ("data/dataset.json", "images/1.jpg", "1.jpg"),
    ],
)
def test_the_usual_folders_beside_annotations(
    table: str, image: str, name: str, paint: Paint, tmp_path: Path
) -> None:
    path = paint(image)
    assert find(tmp_path / table, name) == path


def test_links_out_are_refused_unless_they_are_followed(paint: Paint, tmp_path: Path) -> None:
    private = paint("private/a.jpg")
    data = paint("data/b.jpg").parent
    (data / "file.jpg").symlink_to(private)
    (data / "folder").symlink_to(private.parent)
    (data / "within.jpg").symlink_to("b.jpg")
    (data / "circle.jpg").symlink_to("circle.jpg")
    table = data / "table.csv"
    for name in ("file.jpg", "folder/a.jpg", "FOLDER/A.jpg", "folder/../file.jpg"):
        with pytest.raises(ImageError, match=r"a symbolic link out of .*/data; --follow-links reads it"):
            find(table, name)
        assert find(table, name, follow_links=True).samefile(private)
    assert find(table, "within.jpg") == data / "within.jpg"
    with pytest.raises(ImageError, match="no such file"):
        find(table, "circle.jpg")


def test_the_table_may_be_in_a_linked_folder(paint: Paint, tmp_path: Path) -> None:
    paint("real/a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert find(tmp_path / "link" / "table.csv", "a.jpg").samefile(tmp_path / "real" / "a.jpg")


@pytest.mark.parametrize(
    "name",
    ["cafe\u0301.jpg", "CAF\u00c9.JPG", "caf\u00e9", "Deep/../caf\u00e9.jpeg"],
    ids=["NFD", "case", "no suffix", "suffix"],
)
def test_names_need_not_be_exact(name: str, paint: Paint, tmp_path: Path) -> None:
    image = paint("data/caf\u00e9.jpg")
    if name.endswith(".jpeg"):
        with pytest.raises(ImageError, match="no such file"):
            find(tmp_path / "data" / "table.csv", name)
    else:
        assert find(tmp_path / "data" / "table.csv", name) == image


def test_similar_names_are_not_guessed(paint: Paint, tmp_path: Path) -> None:
    exact = paint("a.jpg")
    paint("A.jpg")
    assert find(tmp_path / "table.csv", "a.jpg") == exact
    with pytest.raises(ImageError, match=r"the name fits several files \(A\.jpg, a\.jpg\)"):
        find(tmp_path / "table.csv", "a.JPG")


def test_odd_names_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in (
        ("https://example.org/a.jpg", "a web address; images are not downloaded"),
        ("s3://bucket/a.jpg", "a web address; images are not downloaded"),
        ("data:image/png;base64,iVBORw0KGgo=", "an image as base64 text"),
        ("iVBORw0KGgo" + "A" * 400, "an image as base64 text"),
        ("['a.jpg', 'b.jpg']", "a list of images"),
        ("nul\0.jpg", "a name with a null character"),
        ("pipe.jpg", "no such file"),
        ("x" * 5000, "no such file"),
        ("", "no such file"),
    ):
        with pytest.raises(ImageError, match=reason):
            find(tmp_path / "table.csv", name)


def parquet(path: Path, image: Callable[[str], Any]) -> Callable[[list[str]], str]:
    def write(names: list[str]) -> str:
        captions = [f"caption {row}" for row in range(len(names))]
        pq.write_table(pa.table({"image": list(map(image, names)), "caption": captions}), path)
        return str(path)

    return write


def sources(folder: Path) -> dict[str, Callable[[list[str]], str]]:
    """Functions that write the names of images in each kind of source, and return its spec."""

    def karpathy(names: list[str]) -> str:
        images = [{"filename": name, "split": "test", "sentences": [{"raw": "a"}]} for name in names]
        (folder / "k.json").write_text(json.dumps({"images": images}))
        return f"karpathy:{folder}/k.json"

    def coco(names: list[str]) -> str:
        images = [{"id": row, "file_name": name} for row, name in enumerate(names)]
        notes = [{"image_id": row, "caption": "a"} for row in range(len(names))]
        (folder / "c.json").write_text(json.dumps({"images": images, "annotations": notes}))
        return f"coco:{folder}/c.json"

    def table(names: list[str]) -> str:
        (folder / "t.csv").write_text("file_name,caption\n" + "".join(f"{name},a\n" for name in names))
        return f"{folder}/t.csv"

    def hub(names: list[str]) -> str:
        (folder / "hub").mkdir(exist_ok=True)
        return "hub:" + str(Path(structs_in(folder / "hub" / "train.parquet")(names)).parent)

    def structs_in(path: Path) -> Callable[[list[str]], str]:
        return parquet(path, lambda name: {"bytes": None, "path": name})

    return {
        "karpathy": karpathy,
        "coco": coco,
        "table": table,
        "names in parquet": parquet(folder / "n.parquet", str),
        "structs in parquet": structs_in(folder / "s.parquet"),
        "hub": hub,
    }


@pytest.mark.parametrize(
    "kind", ["karpathy", "coco", "table", "names in parquet", "structs in parquet", "hub"]
)
def test_no_source_reads_files_outside_of_the_named_folders(kind: str, paint: Paint, tmp_path: Path) -> None:
    private = paint("private/a.jpg")
    for folder in ("data", "data/hub"):
        paint(f"{folder}/b.jpg")
        (tmp_path / folder / "link.jpg").symlink_to(private)
    names = ["b.jpg", str(private), "../private/a.jpg", "../../private/a.jpg", "link.jpg"]
    spec = sources(tmp_path / "data")[kind](names)
    pairs = load_pairs(spec)
    assert len(pairs) == 1
    assert pairs.image(0).size == (8, 6)
    reasons = [reason for _, reason in pairs.skipped]
    assert sum("outside of" in reason for reason in reasons) == 3
    assert sum("--follow-links" in reason for reason in reasons) == 1
    assert len(load_pairs(spec, follow_links=True)) == 2
    spec = sources(tmp_path / "data")[kind]([str(private)])
    with pytest.raises(SourceError, match="none of its 1 images was found"):
        load_pairs(spec)
    named = load_pairs(spec, image_root=tmp_path / "private")
    assert named.image(0).size == (8, 6)


def test_a_file_name_among_images_is_not_read(paint: Paint, tmp_path: Path) -> None:
    content = paint("a.jpg").read_bytes()
    structs = {
        "a": {"bytes": content, "path": "a.jpg"},
        "b": {"bytes": None, "path": str(tmp_path / "a.jpg")},
    }
    pairs = load_pairs(parquet(tmp_path / "x.parquet", structs.__getitem__)(["a", "b"]))
    assert len(pairs) == 1
    assert [reason for _, reason in pairs.skipped] == ["no image in this row, only a file name"]
