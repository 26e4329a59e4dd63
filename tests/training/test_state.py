"""The state file: a complete round trip, and the names that files of version 0.1 have."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from itr_core.errors import ModelError
from itr_core.methods import Setup, make_method
from itr_core.methods.base import Method
from itr_core.supervision.concept_graph import ConceptGraph, normalised
from itr_core.training.state import load_state, load_trainer_state, previous, save_state
from tests.training.runs import assert_same

TRAINER_STATE = {"config": {"lr": 0.1}, "step": 3, "best": {"rsum": 12.5}}
GRAPH = ConceptGraph(["sky", "sea", "sun"], normalised(np.tri(3, dtype=np.bool_)))


def encode_texts(texts: list[str]) -> np.ndarray:
    return np.random.default_rng(len(texts)).standard_normal((len(texts), 8)).astype(np.float32)


def coder(name: str) -> Method:
    method = make_method(name, {"queue": 4, "clusters": 3})
    method.build(Setup(dim=8, captions=[["a"]] * 6, concepts=GRAPH, encode_texts=encode_texts))
    for parameter in method.parameters():
        nn.init.normal_(parameter)
    return method


def trained(module: nn.Module) -> torch.optim.Optimizer:
    optimiser = torch.optim.AdamW(weight for weight in module.parameters() if weight.requires_grad)
    torch.stack([weight.square().sum() for weight in module.parameters()]).sum().backward()
    optimiser.step()
    return optimiser


def test_weights_moments_and_record_return(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    ours, theirs = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    ours(torch.randn(5, 4))
    optimiser, other = trained(ours), trained(theirs)
    save_state(path, {"encoder": ours}, optimiser, TRAINER_STATE)
    load_state(path, {"encoder": theirs}, other)
    assert_same(ours.state_dict(), theirs.state_dict())
    assert theirs.num_batches_tracked == 1
    for mine, moments in zip(
        optimiser.state_dict()["state"].values(), other.state_dict()["state"].values(), strict=True
    ):
        assert_same(mine, moments)
    assert load_trainer_state(path) == TRAINER_STATE


def test_the_format_is_that_of_version_0_1(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    module = nn.Linear(2, 1)
    save_state(path, {"encoder": module}, trained(module), TRAINER_STATE)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["facts"]) == TRAINER_STATE
    moments = {f"optimizer/{index}/{key}" for index in (0, 1) for key in ("exp_avg", "exp_avg_sq", "step")}
    assert load_file(path).keys() == {"encoder/weight", "encoder/bias"} | moments


@pytest.mark.parametrize(("name", "prefix"), [("coder", ""), ("coder+infonce", "members.coder.")])
def test_coder_is_saved_and_loaded_with_the_names_of_version_0_1(
    name: str, prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "state.safetensors"
    ours, theirs = coder(name), coder(name)
    optimiser = trained(ours)
    save_state(path, {"method": ours}, optimiser, TRAINER_STATE)
    renamed = ("guess_image.", "guess_text.", "following.")
    start = f"method/{prefix}"
    names = {key.removeprefix(start) for key in load_file(path) if key.startswith(start)}
    assert {each for each in renamed if not any(key.startswith(each) for key in names)} == set()
    assert not any("cluster_head" in key or "ema_branch" in key for key in names)
    load_state(path, {"method": theirs}, trained(theirs))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    heads = {key.removeprefix("coder.") for key in ours.heads()}
    assert {"guess_image.weight", "guess_text.bias", "concepts.nodes"} <= heads


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no run to resume in"):
        load_trainer_state(tmp_path / "state.safetensors")
    (tmp_path / "state.safetensors").write_bytes(b"{}")
    with pytest.raises(ModelError, match=r"is damaged\. There is no other: .* without --resume"):
        load_trainer_state(tmp_path / "state.safetensors")


def saved_twice(folder: Path) -> Path:
    path = folder / "state.safetensors"
    module = nn.BatchNorm1d(4)
    for step in (3, 6):
        save_state(path, {"encoder": module}, trained(module), TRAINER_STATE | {"step": step})
    return path


def test_the_state_before_is_kept(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    assert load_trainer_state(path)["step"] == 6
    assert load_trainer_state(previous(path))["step"] == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_every_flipped_byte_is_refused_and_the_state_before_offered(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(
            ModelError, match=r"state\.safetensors is damaged.* after step 3, rename .*previous"
        ):
            load_trainer_state(path)
    previous(path).replace(path)
    assert load_trainer_state(path)["step"] == 3


def test_if_both_states_are_damaged_the_way_out_is_to_start_anew(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    for each in (path, previous(path)):
        each.write_bytes(each.read_bytes()[:100])
    with pytest.raises(ModelError, match=rf"to start anew, delete {path} and repeat .* without --resume"):
        load_trainer_state(path)


def test_a_state_of_version_0_2_has_no_digest(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    tensors = load_file(path)
    save_file(tensors, path, metadata={"facts": json.dumps(TRAINER_STATE)})
    assert load_trainer_state(path) == TRAINER_STATE
