"""The folder of trainings of the comparison of methods, with a training that only writes a file."""

from pathlib import Path
from typing import Any

import method_runs
import numpy as np
import pytest
from method_rows import CANDIDATES, MOST_TRAININGS, ROWS, Row, row_of
from method_runs import TRAINED, MissingError, Trainings

from itr_core.encoders.checksums import STATE


@pytest.fixture
def stopped() -> dict[str, int]:
    """`after`: how many trainings begin before one is stopped."""
    return {}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, stopped: dict[str, int]) -> list[Path]:
    """Folders of the trainings that took place."""
    folders: list[Path] = []

    def train(method: str, *, out: Path, resume: bool, **settings: Any) -> Path:
        out.mkdir(parents=True, exist_ok=True)
        assert "validation" not in settings
        assert resume == (out / STATE).exists()
        (out / STATE).touch()
        folders.append(out)
        if len(folders) == stopped.get("after"):
            raise KeyboardInterrupt
        return out

    monkeypatch.setattr(method_runs, "train", train)
    monkeypatch.setattr(method_runs, "load_pairs", str)
    monkeypatch.setattr(method_runs, "measure", lambda *_: {"rsum": np.ones(3)})
    return folders


def test_a_training_is_done_once_and_measured_on_each_split(trained: list[Path], tmp_path: Path) -> None:
    trainings = Trainings("picturebook", tmp_path)
    for split in ("validation", "reported", "reported"):
        trainings.measure(Row("infonce"), 1, split, tmp_path)
    assert trained == [trainings.folder(Row("infonce"), 1)]
    assert {path.name for path in trained[0].iterdir()} == {TRAINED, "validation.npz", "reported.npz"}
    assert [*trainings.measured(Row("infonce"), "reported")] == [1]
    assert not trainings.measured(Row("coder"), "reported")


def test_a_stopped_training_is_resumed_and_not_measured_before(
    trained: list[Path], stopped: dict[str, int], tmp_path: Path
) -> None:
    trainings = Trainings("picturebook", tmp_path)
    stopped["after"] = 1
    with pytest.raises(KeyboardInterrupt):
        trainings.measure(Row("infonce"), 0, "reported", tmp_path)
    assert not trainings.measured(Row("infonce"), "reported")
    trainings.measure(Row("infonce"), 0, "reported", tmp_path)
    assert len(trained) == 2
    assert [*trainings.measured(Row("infonce"), "reported")] == [0]


def test_other_seeds_are_other_trainings_of_the_same_number(trained: list[Path], tmp_path: Path) -> None:
    trainings = Trainings("picturebook", tmp_path)
    for name in ("infonce", "infonce, other seeds"):
        trainings.measure(ROWS[name], 0, "reported", tmp_path)
    assert [folder.name for folder in trained] == ["0", str(MOST_TRAININGS)]
    for name in ("infonce", "infonce, other seeds"):
        assert [*trainings.measured(ROWS[name], "reported")] == [0]


def test_the_folder_follows_every_option_and_the_setting_but_no_path(tmp_path: Path) -> None:
    features, drawn = Trainings("features", tmp_path), Trainings("picturebook", tmp_path)
    names = {
        each.folder(row, 0).parent.name
        for each in (features, drawn)
        for row in (Row("coder"), Row("coder", {"queue": 7}), Row("coder", settings={"batch_size": 7}))
    }
    assert len(names) == 6
    elsewhere = Trainings("features", tmp_path / "elsewhere").folder(Row("coder"), 0)
    assert elsewhere.parent.name == features.folder(Row("coder"), 0).parent.name


def test_the_candidate_with_the_highest_mean_is_chosen(
    trained: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings("picturebook", tmp_path)
    with pytest.raises(MissingError, match="candidates of infonce have 0, 0, 0 measured trainings"):
        trainings.choices()
    best = {method: candidates[len(method) % 3] for method, candidates in CANDIDATES.items()}
    for candidate in (each for candidates in CANDIDATES.values() for each in candidates):
        rsum = np.full(3, 300.0 if candidate in best.values() else 200.0)
        monkeypatch.setattr(method_runs, "measure", lambda *_, found=rsum: {"rsum": found})
        trainings.measure(candidate.upon(Row(candidate.method)), 0, "validation", tmp_path)
    assert trainings.choices() == best
    done = len(trained)
    for method in CANDIDATES:  # the chosen candidate is the row: no second training
        trainings.measure(row_of(method, best), 0, "reported", tmp_path)
    assert len(trained) == done
    trainings.measure(Row("infonce"), 1, "validation", tmp_path)
    with pytest.raises(MissingError, match="infonce have 2, 1, 1"):
        trainings.choices()
