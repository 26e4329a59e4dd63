"""benchmarks/ensemble.py: merging several dual encoders into one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ensemble import merge
from PIL import Image
from safetensors.torch import save_file

from itr_core import load_encoder
from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.training import train

CAPTIONS = ["a red sky over flat green ground", "flat blue land", "yellow", "high green land, red above"]


@pytest.fixture(scope="module")
def members(configs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models with the same frozen trunk, trained from different seeds."""
    out = tmp_path_factory.mktemp("members")
    first = train("infonce", f"folder:{world}", model="tiny-conv/none", out=out / "trunk", max_steps=1)
    visual: Any = load_encoder(f"local-dir:{first}", device="cpu").model.visual
    trunk = visual.trunk.state_dict()
    save_file({name: value.contiguous() for name, value in trunk.items()}, out / "trunk.safetensors")
    return [
        train(
            "infonce",
            f"folder:{world}",
            model="tiny-conv/none",
            image_weights=str(out / "trunk.safetensors"),
            image_features="cache",
            out=out / str(seed),
            max_steps=20,
            batch_size=32,
            seed=seed,
            progress=False,
            device="cpu",
        )
        for seed in (0, 1)
    ]


def cosines(encoder: DualEncoder, world: Path) -> np.ndarray:
    photos = [Image.open(path) for path in sorted(world.glob("*.png"))[::7]]
    return encoder.encode_images(photos) @ encoder.encode_texts(CAPTIONS).T


def test_merging_a_model_with_itself_keeps_its_cosines(
    members: list[Path], world: Path, tmp_path: Path
) -> None:
    one = load_encoder(f"local-dir:{members[0]}", device="cpu")
    both = load_encoder(f"local-dir:{merge([members[0]] * 2, tmp_path / 'both')}", device="cpu")
    assert both.dim == 2 * one.dim
    np.testing.assert_allclose(cosines(both, world), cosines(one, world), atol=1e-5)


def test_cosines_of_two_models_are_about_the_mean(members: list[Path], world: Path, tmp_path: Path) -> None:
    each = [cosines(load_encoder(f"local-dir:{folder}", device="cpu"), world) for folder in members]
    both = cosines(load_encoder(f"local-dir:{merge(members, tmp_path / 'both')}", device="cpu"), world)
    to_mean, *to_each = (np.abs(both - other).mean() for other in (np.mean(each, axis=0), *each))
    assert to_mean < 0.8 * min(to_each)  # exact but for layer norms and the norms of embeddings
