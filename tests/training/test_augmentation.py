"""Augmentation: no change without options, within the given limits, reproducible from a seed."""

import pytest
import torch

from itr_core.training.augmentation import augment


@pytest.fixture
def ramp() -> torch.Tensor:
    """64 images in which red is the x and green the y coordinate of a pixel, both in [0, 1]."""
    line = (torch.arange(32) + 0.5) / 32
    return torch.stack([line.expand(32, 32), line[:, None].expand(32, 32), torch.full((32, 32), 0.5)]).repeat(
        64, 1, 1, 1
    )


def test_no_option_changes_nothing(ramp: torch.Tensor) -> None:
    assert augment(ramp) is ramp


def test_crop_never_mirrors_and_removes_at_most_its_fraction(ramp: torch.Tensor) -> None:
    out = augment(ramp, crop=0.25)
    assert out.shape == ramp.shape
    left, right = out[:, 0, 16, 1], out[:, 0, 16, -2]
    assert (left < right).all()
    width = (right - left) / (ramp[0, 0, 16, -2] - ramp[0, 0, 16, 1])
    assert (width > 0.74).all()
    assert (width < 1.001).all()
    assert width.std() > 0.03
    assert out[:, 0, 16, 16].std() > 0.01  # each image is cropped at its own position
    assert torch.allclose(out[:, 2], ramp[:, 2])


def test_flip_mirrors_about_half_of_the_images(ramp: torch.Tensor) -> None:
    torch.manual_seed(0)
    out = augment(ramp, flip=True)
    mirrored = (out[:, 0, 16, 0] > out[:, 0, 16, -1]).sum()
    assert 16 < mirrored < 48
    same = torch.isclose(out, ramp, atol=1e-5).flatten(1).all(1)
    assert same.sum() == 64 - mirrored


def test_jitter_changes_colours_and_stays_in_range(ramp: torch.Tensor) -> None:
    out = augment(ramp, jitter=0.4)
    assert out.min() >= 0
    assert out.max() <= 1
    assert (out - ramp).abs().amax((1, 2, 3)).min() > 0
    assert (out.mean((1, 2, 3)) / ramp.mean((1, 2, 3)) - 1).abs().max() < 0.45


def test_the_same_seed_gives_the_same_result(ramp: torch.Tensor) -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        results.append(augment(ramp, crop=0.2, flip=True, jitter=0.2))
    assert torch.equal(*results)
