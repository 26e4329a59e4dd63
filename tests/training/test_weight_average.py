"""The moving average of the weights, against torch's own, with weights that are frozen."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from itr_core.training.weight_average import moving_average


def test_trained_weights_are_averaged_and_frozen_ones_shared() -> None:
    torch.manual_seed(0)
    frozen, trained = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(frozen.requires_grad_(False), trained)
    average = moving_average(model, 0.9)
    reference = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for _ in range(3):
        with torch.no_grad():
            for weight in trained.parameters():
                weight.add_(torch.randn_like(weight))
        average.update_parameters(model)
        reference.update_parameters(model)
    assert average.module[0].weight.data_ptr() == frozen.weight.data_ptr()
    assert average.module[1].weight.data_ptr() != trained.weight.data_ptr()
    for name, mean in average.state_dict().items():
        torch.testing.assert_close(mean, reference.state_dict()[name])
