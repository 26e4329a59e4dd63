"""The training source and the validation source have options of their own."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from itr_core.errors import SourceError
from itr_core.training.config import TrainConfig
from itr_core.training.setup import load_sources
from tests.support import present


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos, with a table of other names in another folder for each."""
    for name, column in (("train", "says"), ("val", "tells")):
        (tmp_path / name).mkdir()
        (tmp_path / "photos" / name).mkdir(parents=True)
        for colour in ("red", "blue"):
            Image.new("RGB", (8, 8), colour).save(tmp_path / "photos" / name / f"{colour}.png")
        lines = [f"{colour}.png,a {colour} {name} picture\n" for colour in ("red", "blue")]
        (tmp_path / name / "table.csv").write_text(f"file,{column}\n" + "".join(lines))
    return tmp_path


def opened(source: str, validation: str, **options: Any) -> tuple[list[str], list[str]]:
    config = TrainConfig("infonce", source, "starter:infonce", validation=validation, **options)
    pairs, validation_pairs = load_sources(config)
    return pairs.flat_captions()[0], present(validation_pairs).flat_captions()[0]


def test_options_of_the_source_do_not_go_to_a_validation_source_without_them(photos: Path) -> None:
    train, validation = opened(
        f"table:{photos}/train/table.csv", "picturebook:val@4",
        columns={"captions": "says"}, image_root=str(photos / "photos" / "train"), max_megapixels=20,
    )  # fmt: skip
    assert train == ["a red train picture", "a blue train picture"]
    assert len(validation) == 20


def test_the_validation_source_has_its_own_columns_and_images(photos: Path) -> None:
    train_table, val_table = (f"table:{photos}/{name}/table.csv" for name in ("train", "val"))
    own: dict[str, Any] = {"columns": {"captions": "says"}, "image_root": str(photos / "photos" / "train")}
    with pytest.raises(SourceError, match=r"val/table\.csv: there is no column 'says'"):
        opened(train_table, val_table, **own)
    others: dict[str, Any] = {
        "validation_columns": {"captions": "tells"},
        "validation_image_root": f"{photos}/photos/val",
    }
    train, validation = opened(train_table, val_table, **own, **others)
    assert train[0] == "a red train picture"
    assert validation[0] == "a red val picture"


def test_an_option_that_the_source_does_not_have_is_refused(photos: Path) -> None:
    with pytest.raises(SourceError, match="a picturebook source has no option exclude"):
        opened("picturebook:train@8", f"folder:{photos}/photos/val", exclude=("*.jpg",))
    with pytest.raises(SourceError, match="a picturebook source has no option columns"):
        opened("picturebook:train@8", "picturebook:val@4", validation_columns={"captions": "a"})
