"""Sets of pairs: properties that hold for every source, and parsing of specs."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from itr_core.errors import ImageError, SourceError
from itr_core.pairs import PairSet, load_pairs
from itr_core.pairs.from_files import Record, pairs_of_files
from tests.support import Paint, present


class SceneRelevance:
    """Relevance with a different number in every place, to see where each goes."""

    def __init__(self, images: int, captions: int) -> None:
        self.values = np.arange(images * captions, dtype=np.float32).reshape(images, captions) / 100

    def grade(self, images: slice | np.ndarray = slice(None)) -> np.ndarray:
        return self.values[images]

    def matrix(
        self, images: slice | np.ndarray = slice(None), captions: np.ndarray | None = None
    ) -> np.ndarray:
        chosen = self.values[images] > 0.1
        return chosen if captions is None else chosen[:, captions]


@pytest.fixture
def drawn() -> PairSet:
    """A source that draws its pictures: the image column is a colour."""
    columns = {
        "image": ["red", "green", "blue", "not a colour"],
        "captions": [["r", "rr"], [], ["b"], ["x", "xx", "xxx"]],
        "image_id": ["0", "1", "2", "3"],
    }

    def decode(value: str) -> Image.Image:
        if " " in value:
            raise ImageError("cannot be drawn")
        return Image.new("RGB", (2, 2), value)

    return PairSet(
        Dataset.from_dict(columns), source="colours", decode=decode, relevance=SceneRelevance(4, 6)
    )


def test_a_pair_set_is_a_sequence_of_pairs(drawn: PairSet) -> None:
    assert len(drawn) == 4
    assert drawn[2].image.getpixel((0, 0)) == (0, 0, 255)
    assert (drawn[2].captions, drawn[2].image_id, drawn[2].labels) == (["b"], "2", None)
    assert repr(drawn) == "PairSet('colours', 4 images, 6 captions)"
    with pytest.raises(ImageError, match=r"^3: cannot be drawn$"):
        list(drawn)


def test_flat_captions_and_uncaptioned(drawn: PairSet) -> None:
    texts, image_of_caption = drawn.flat_captions()
    assert texts == ["r", "rr", "b", "x", "xx", "xxx"]
    assert image_of_caption.tolist() == [0, 0, 2, 3, 3, 3]
    assert drawn.uncaptioned == ["1"]


def test_relevance_follows_a_selection(drawn: PairSet) -> None:
    chosen = drawn.select([3, 1, 0])
    assert chosen.image_ids == ["3", "1", "0"]
    assert chosen.flat_captions()[0] == ["x", "xx", "xxx", "r", "rr"]
    assert chosen.image(2).getpixel((0, 0)) == (255, 0, 0)
    wanted = present(drawn.relevance).grade()[[3, 1, 0]][:, [3, 4, 5, 0, 1]]
    np.testing.assert_array_equal(present(chosen.relevance).grade(), wanted)
    np.testing.assert_array_equal(present(chosen.relevance).grade(slice(1, 3)), wanted[1:3])
    np.testing.assert_array_equal(present(chosen.relevance).matrix(np.array([2, 0])), wanted[[2, 0]] > 0.1)
    twice = chosen.select([2, 0])
    np.testing.assert_array_equal(present(twice.relevance).grade(), wanted[[2, 0]][:, [3, 4, 0, 1, 2]])


def test_fingerprint_sees_every_part_and_nothing_else(paint: Paint, tmp_path: Path) -> None:
    def value(
        name: str = "a",
        captions: tuple[str, ...] = ("one",),
        place: str = "x.png",
        labels: list[str] | None = None,
    ) -> str:
        record = Record(name, tmp_path / place, list(captions), labels)
        return pairs_of_files([record], source="test").fingerprint

    paint("x.png", "red")
    paint("blue.png", "blue")
    shutil.copy(tmp_path / "x.png", tmp_path / "moved.png")
    assert value() == value() == value(place="moved.png")
    others = [value("b"), value(captions=("one", "two")), value(captions=("one two",)), value(captions=())]
    others += [value(labels=["dog"]), value(place="blue.png")]
    assert len({value(), *others}) == 7


def test_fingerprint_is_the_same_in_other_layouts_and_processes(paint: Paint, tmp_path: Path) -> None:
    paint("photos/a.png")
    (tmp_path / "photos" / "captions.txt").write_text("a.png,one\na.png,two\n")
    folder = load_pairs(str(tmp_path / "photos"))
    folder.dataset.to_parquet(tmp_path / "pairs.parquet")  # as datasets writes it: file names
    held = [{"bytes": (tmp_path / "photos" / "a.png").read_bytes(), "path": None}]
    columns = {"image": held, "captions": folder.captions, "image_id": folder.image_ids}
    Dataset.from_dict(columns).to_parquet(tmp_path / "bytes.parquet")
    code = (
        f"from itr_core import load_pairs; print(load_pairs({str(tmp_path / 'bytes.parquet')!r}).fingerprint)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert folder.fingerprint == load_pairs(str(tmp_path / "pairs.parquet")).fingerprint
    assert folder.fingerprint == other.stdout.strip()


def test_fingerprint_of_a_selection_is_its_own(drawn: PairSet) -> None:
    assert drawn.select([0, 1]).fingerprint != drawn.select([1, 0]).fingerprint
    assert drawn.select([0, 1]).fingerprint == drawn.select([0, 1, 2]).select([0, 1]).fingerprint


def test_many_duplicates_are_counted_and_the_first_named() -> None:
    ids = [name for name in "abcde" for _ in range(3)] + ["f"]
    dataset = Dataset.from_dict({"image": ids, "captions": [[] for _ in ids], "image_id": ids})
    with pytest.raises(SourceError, match=r"s: 5 image ids occur more than once \('a', 'b', 'c', \.\.\.\)"):
        PairSet(dataset, source="s")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("foldr:/x", r"Unknown kind of source 'foldr' in 'foldr:/x'. Did you mean 'folder'\?"),
        ("https://example.org/a.zip", r"Unknown kind of source 'https'"),
        (
            "nowhere/at/all",
            r"'nowhere/at/all': no such file or folder. A source is a path or one of: picturebook:",
        ),
        ("", r"'': no such file or folder. A source is a path or one of: picturebook:"),
        ("folder:", r"'folder:': the path is missing, as in folder:PATH"),
        (
            __file__,
            r"a source is a folder, an archive, or a \.parquet, \.csv, .*\.json file, not a \.py file",
        ),
    ],
)
def test_specs_that_say_nothing_known(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        load_pairs(spec)


def test_options_that_do_not_apply(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a folder source has no option image_root; remove it"):
        load_pairs(f"folder:{tmp_path}", image_root=tmp_path)
    with pytest.raises(SourceError, match="a picturebook source has no option columns or image_root"):
        load_pairs("picturebook", image_root=tmp_path, columns={})
    with pytest.raises(SourceError, match="limit=0"):
        load_pairs("picturebook", limit=0)


def test_no_exception_of_a_library_reaches_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ValueError("Invalid column index\nand more lines")

    monkeypatch.setattr("itr_core.pairs.folder.load", fail)
    with pytest.raises(SourceError, match=r"cannot be read \(ValueError: Invalid column index\)\.$"):
        load_pairs(f"folder:{tmp_path}")


def test_import_is_light() -> None:
    code = "import sys, itr_core.pairs; print({'datasets', 'pyarrow', 'pandas', 'torch'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
