"""Checkpoints are compared with their digests when they are opened; any change is named, with a remedy."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from itr_core import DualEncoder, load_encoder
from itr_core.encoders import checkpoints, tokenizer
from itr_core.encoders.checksums import CHECKSUMS, checked_files, damage, write_checksums
from itr_core.encoders.heads import Heads
from itr_core.encoders.model_specs import STARTERS
from itr_core.errors import ModelError

CAPTIONS = ["a brown dog runs on the beach", "two red cars by a house"] * 10


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    own = tokenizer.train(CAPTIONS, vocab_size=300, context_length=16)
    return load_encoder("picturebook-vit/none", device="cpu", tokenizer=own)


@pytest.fixture
def folder(encoder: DualEncoder, tmp_path: Path) -> Path:
    checkpoints.save(
        tmp_path / "m",
        encoder.model,
        encoder.tokenizer,
        encoder.config,
        words=["dog"],
        heads=Heads({"w": torch.ones(3)}),
    )
    return tmp_path / "m"


def check_files(folder: Path) -> None:
    with checked_files(folder):
        pass


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_every_flipped_byte_is_named(folder: Path) -> None:
    check_files(folder)
    random = np.random.default_rng(0)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for position in (0, len(whole) - 1, *random.integers(len(whole), size=4).tolist()):
            flip(path, position)
            if path.name == "README.md":
                check_files(folder)
            else:
                with pytest.raises(ModelError, match=rf"{path.name} (has changed|is damaged)"):
                    check_files(folder)
            path.write_bytes(whole)
    check_files(folder)


def test_a_damaged_or_incomplete_checkpoint_is_not_loaded(folder: Path) -> None:
    load_encoder(str(folder), device="cpu")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"Cannot load the model .*tokenizer\.json has changed"):
        load_encoder(str(folder), device="cpu")
    (folder / "tokenizer.json").unlink()
    flip(folder / "open_clip_model.safetensors", -1)
    (folder / "heads.safetensors").unlink()
    with pytest.raises(
        ModelError,
        match=r"heads\.safetensors is missing, tokenizer\.json is missing, open_clip_model\.safetensors has",
    ):
        load_encoder(str(folder), device="cpu")


def test_a_folder_without_digests_is_opened_unchecked(folder: Path, encoder: DualEncoder) -> None:
    (folder / CHECKSUMS).unlink()
    (folder / "words.txt").write_text("cat\n")
    assert load_encoder(str(folder), device="cpu").words == {"cat"}


def test_foreign_digests_cannot_name_files_outside(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    text = (folder / CHECKSUMS).read_text().replace("words.txt", "../secret")
    (folder / CHECKSUMS).write_text(text)
    assert damage(folder) == f"{CHECKSUMS} is damaged"


def test_the_remedy_is_the_last_good_version_of_the_run(folder: Path) -> None:
    weights = folder / "open_clip_model.safetensors"
    whole = weights.read_bytes()
    flip(weights, -1)
    with pytest.raises(ModelError, match="Copy or download it again"):
        check_files(folder)
    (folder / "state.safetensors").write_bytes(b"state")
    with pytest.raises(ModelError, match="--resume, which writes the checkpoint again"):
        check_files(folder)
    last = Path(shutil.copytree(folder, folder / "last"))
    (last / weights.name).write_bytes(whole)
    with pytest.raises(ModelError, match=rf"The last weights of this run are whole: use {last}\."):
        check_files(folder)
    weights.write_bytes(whole)
    flip(last / weights.name, -1)
    with pytest.raises(ModelError, match=rf"The best weights of this run are whole: use {folder}\."):
        check_files(last)


@pytest.mark.parametrize("name", sorted(path.name for path in STARTERS.iterdir() if path.is_dir()))
def test_the_digests_of_every_starter_are_shipped(name: str, tmp_path: Path) -> None:
    assert (STARTERS / name / CHECKSUMS).is_file()
    assert damage(STARTERS / name) == ""
    copy = Path(shutil.copytree(STARTERS / name, tmp_path / name))
    write_checksums(copy)
    assert (copy / CHECKSUMS).read_bytes() == (STARTERS / name / CHECKSUMS).read_bytes()
