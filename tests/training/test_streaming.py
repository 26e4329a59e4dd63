"""Training on a data set of the hub that is not downloaded."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature

from itr_core.errors import PairscopeError
from itr_core.pairs import load_pairs, row_groups
from itr_core.training import train
from tests.support import present
from tests.training.runs import assert_same, settings, weights

pytestmark = pytest.mark.usefixtures("configs")


@pytest.fixture
def hub_set(world: Path, tmp_path: Path) -> str:
    """The pictures of `world` in the layout of the hub: four files with row groups of 4 pictures."""
    pairs = load_pairs(f"folder:{world}")
    features = {"image": ImageFeature(), "captions": List(Value("string")), "image_id": Value("string")}
    (tmp_path / "set").mkdir()
    for number in range(4):
        some = slice(16 * number, 16 * (number + 1))
        names = pairs.image_ids[some]
        images = [{"bytes": (world / name).read_bytes(), "path": None} for name in names]
        columns = {"image": images, "captions": pairs.captions[some], "image_id": names}
        table = Dataset.from_dict(columns, Features(features)).data.table
        pq.write_table(table, tmp_path / "set" / f"train-{number:05}-of-00004.parquet", row_group_size=4)
    return f"hub:{tmp_path / 'set'}:train"


def test_with_cached_pixels_the_weights_are_those_of_the_downloaded_set(hub_set: str, tmp_path: Path) -> None:
    streamed = train("infonce", hub_set, out=tmp_path / "streamed", **settings(stream=True))
    whole = train("infonce", hub_set, out=tmp_path / "whole", **settings())
    assert_same(weights(streamed), weights(whole))


@pytest.mark.parametrize("workers", [0, 2])
def test_without_a_cache_each_epoch_reads_each_row_group_once(
    workers: int, hub_set: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    pairs = load_pairs(hub_set, stream=True)
    pairs.image(0)
    [kept] = (tmp_path / "cache" / "row_groups").glob("*.arrow")
    # 3 of 16 row groups are shuffled together. The processes load up to 4 batches of 4 images, of 3 windows.
    monkeypatch.setattr(row_groups, "TOGETHER", 3.5 / present(pairs.blocks).together * row_groups.TOGETHER)
    monkeypatch.setattr(row_groups, "CACHE", 10 * kept.stat().st_size)
    assert present(load_pairs(hub_set, stream=True).blocks).together == 3
    kept.unlink()
    row_groups._row_group.cache_clear()
    read = tmp_path / "read"
    copy = row_groups._copy

    def counted(*arguments: object) -> None:
        with read.open("a") as file:  # the processes that load share it
            file.write("x")
        copy(*arguments)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(row_groups, "_copy", counted)
    options = settings(stream=True, cache_images=False, workers=workers, max_steps=16, batch_size=4)
    train("infonce", hub_set, out=tmp_path / "out", **options)  # one epoch
    assert len(read.read_text()) == 16


def test_pixels_that_do_not_fit_on_the_disk_are_refused_at_once(
    hub_set: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=64 * 3 * 32 * 32 - 1))
    with pytest.raises(
        PairscopeError, match=r"The pixels of hub:.* need 0\.0 GB more in .*--no-cache-images"
    ):
        train("infonce", hub_set, out=tmp_path / "out", **settings(stream=True))
