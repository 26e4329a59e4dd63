"""Sources of features in the place of images: SCAN's files and those of CRCGS."""

from pathlib import Path

import numpy as np
import pytest

from itr_core.errors import ImageError, SourceError
from itr_core.pairs import load_pairs
from tests.pairs.layouts import stand_ins
from tests.support import present


def test_regions_and_repeated_rows_of_scan(tmp_path: Path) -> None:
    spec = f"precomp:{stand_ins.precomp(tmp_path, n=8)}"
    train, pooled = load_pairs(f"{spec}:train"), load_pairs(f"{spec}:pooled", limit=6)
    assert present(train.image_features).shape == (8, 3, 2048)
    assert train.captions[2] == [f"train picture 2 told {k} times" for k in range(5)]
    assert train.image_ids[2] == "1002"
    assert present(pooled.image_features).shape == (6, 2048)
    np.testing.assert_array_equal(present(pooled.image_features), np.load(tmp_path / "pooled_ims.npy")[:30:5])
    assert pooled.captions[3][4] == "pooled picture 3 told 4 times"
    assert load_pairs(f"{spec}:val").captions == load_pairs(f"{spec}:dev").captions
    part = train.select([5, 2])
    np.testing.assert_array_equal(present(part.image_features), present(train.image_features)[[5, 2]])
    with pytest.raises(ImageError, match="the source has features of this image, not the image"):
        train.image(0)

    before = train.fingerprint
    features = np.load(tmp_path / "train_ims.npy")
    features[3, 1, 7] += 1
    np.save(tmp_path / "train_ims.npy", features)
    assert load_pairs(f"{spec}:train").fingerprint != before


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train_caps.txt", "one\ntwo\n", r"2 captions for 8 images; each image needs the same number"),
        ("train_ims.npy", "no array", r"train_ims\.npy: not a NumPy array of numbers"),
        ("train_ims.npy", np.zeros((2, 2, 2, 2)), r"shape \(2, 2, 2, 2\); features are"),
        ("train_ims.npy", np.array([None]), r"not a NumPy array of numbers"),
    ],
)
def test_files_of_scan_that_do_not_fit(
    file: str, content: str | np.ndarray, message: str, tmp_path: Path
) -> None:
    spec = f"precomp:{stand_ins.precomp(tmp_path)}"
    if isinstance(content, str):
        (tmp_path / file).write_text(content)
    else:
        np.save(tmp_path / file, content)
    with pytest.raises(SourceError, match=message):
        load_pairs(f"{spec}:train")


def test_the_split_of_scan_is_required(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no train_ims\.npy"):
        load_pairs(f"precomp:{tmp_path}:train")
    stand_ins.precomp(tmp_path)
    with pytest.raises(SourceError, match="a split is missing"):
        load_pairs(f"precomp:{tmp_path}")
    with pytest.raises(SourceError, match="unknown split 'testal'"):
        load_pairs(f"precomp:{tmp_path}:testal")


def test_bags_of_words_and_lists_of_crcgs(tmp_path: Path) -> None:
    spec = f"arrays:{stand_ins.arrays(tmp_path)}"
    whole, query, database = load_pairs(spec), load_pairs(f"{spec}:query"), load_pairs(f"{spec}:database")
    assert whole.captions[1] == ["word0 word1"]
    assert present(whole.labels)[1] == ["label0", "label1"]
    assert set(database.image_ids) == set(whole.image_ids) - set(query.image_ids)
    (tmp_path / "words.txt").write_text("sky\nsunset\nwater\ntree\n")
    assert load_pairs(spec).captions[1] == ["sky sunset"]
    for name, rows in {"train": [3, 5], "val": [7], "test": [9, 1]}.items():
        np.save(tmp_path / f"{name}_data_list.npy", rows)
    assert load_pairs(f"{spec}:query").image_ids == ["1", "9"]
    features = present(load_pairs(f"{spec}:train").image_features)
    np.testing.assert_array_equal(features, np.load(tmp_path / "feature.npy")[[3, 5]])
    assert len(load_pairs(f"{spec}:database")) == 38

    np.save(tmp_path / "val_data_list.npy", [40])
    with pytest.raises(SourceError, match=r"val_data_list\.npy: must list rows below 40"):
        load_pairs(f"{spec}:val")
    np.save(tmp_path / "val_data_list.npy", [7])
    (tmp_path / "words.txt").write_text("sky sky\n")
    with pytest.raises(SourceError, match=r"words\.txt: 1 different names for 4 columns"):
        load_pairs(f"{spec}:train")
    np.save(tmp_path / "label.npy", np.zeros((3, 4)))
    with pytest.raises(SourceError, match=r"features \(40, 4096\), bow\.npy \(40, 4\), labels \(3, 4\)"):
        load_pairs(spec)


def test_the_redundant_column_of_coco_is_dropped(tmp_path: Path) -> None:
    stand_ins.arrays(tmp_path)
    np.save(tmp_path / "label.npy", np.ones((40, 81)))
    assert len(present(load_pairs(f"arrays:{tmp_path}").labels)[0]) == 80
