"""The exponential moving average of the weights that are trained."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(model: nn.Module, decay: float) -> Any:
    """Return torch's `AveragedModel` of a model whose frozen weights are already frozen.

    The average shares the frozen weights with the model: they cost neither time nor memory.

    Args:
        model: weights without `requires_grad` are frozen.
        decay: of the exponential moving average, in (0, 1).
    """
    update = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update_trained(averages: Tensors, weights: Tensors, count: Tensor | int) -> None:
        pairs = zip(averages, weights, strict=True)
        trained = [(mean, new) for mean, new in pairs if mean.data_ptr() != new.data_ptr()]
        update([mean for mean, _ in trained], [new for _, new in trained], count)

    average: Any = AveragedModel(model, multi_avg_fn=update_trained)
    for mean, weight in zip(average.module.parameters(), model.parameters(), strict=True):
        if not weight.requires_grad:
            mean.data = weight.data
    return average
