"""The layout of an image tower: gradients are right in it on every processor."""

import pytest
import torch
from torch.nn import Conv2d, Sequential

from itr_core.encoders.image_tower import memory_layout

LAST, USUAL = torch.channels_last, torch.contiguous_format
BODY = Conv2d(32, 8, 3)


@pytest.mark.parametrize(
    ("first", "layout"),
    [
        (Conv2d(3, 32, 3, stride=2), LAST),
        (Conv2d(3, 32, 1), LAST),
        (Conv2d(16, 32, 1, stride=2), LAST),  # the branch of a ResNet, with a whole block of channels
        (Conv2d(3, 32, 1, stride=2), USUAL),  # MobileCLIP
        (Conv2d(8, 32, 1, stride=(1, 2)), USUAL),
    ],
)
def test_strided_projections_of_few_channels_are_not_computed_in_channels_last(
    first: Conv2d, layout: torch.memory_format
) -> None:
    assert memory_layout(Sequential(first, BODY)) == layout


def test_a_tower_with_one_convolution_has_the_usual_layout() -> None:
    assert memory_layout(Sequential(Conv2d(3, 32, 16, stride=16))) == USUAL


@pytest.mark.parametrize("kernel", [1, 3])
def test_gradients_are_those_of_float64(kernel: int) -> None:
    tower = Sequential(Conv2d(3, 32, kernel, stride=2), Conv2d(32, 8, 3))
    pixels = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layout = memory_layout(tower)
    tower.to(memory_format=layout)
    embedding = tower(pixels.contiguous(memory_format=layout))
    ours = torch.autograd.grad(embedding.square().mean(), [*tower.parameters()])
    tower.double()
    expected = torch.autograd.grad(tower(pixels.double()).square().mean(), [*tower.parameters()])
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-6, rtol=1e-4)
