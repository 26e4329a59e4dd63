"""AdamW as dual encoders want it: a rate for each part, no decay of gains and biases, a pure schedule."""

import math

import torch
from torch import nn

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.features.image_rows import trunk_state
from itr_core.training.config import TrainConfig

_JOINT = ("text_projection", "logit_scale", "logit_bias")


def make_optimiser(encoder: DualEncoder, method: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Collect what is to be trained; each group carries its `peak_lr` for `set_learning_rate`."""
    trunk = {id(weight) for weight in trunk_state(encoder).values()}

    def factor(name: str, weight: nn.Parameter) -> float:
        if id(weight) in trunk:
            return config.image_lr_factor
        is_text = not name.startswith("visual.") and not any(part in name for part in _JOINT)
        return config.text_lr_factor if is_text else 1.0

    weights = [(weight, factor(name, weight)) for name, weight in encoder.model.named_parameters()]
    weights += [(weight, 1.0) for weight in method.parameters()]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight, times in weights:
        if weight.requires_grad:
            decay = config.weight_decay if weight.ndim >= 2 else 0.0
            groups.setdefault((config.lr * times, decay), []).append(weight)
    return torch.optim.AdamW(
        [{"params": part, "peak_lr": lr, "weight_decay": decay} for (lr, decay), part in groups.items()],
        betas=(0.9, 0.98),
        eps=1e-6,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, total: int, warmup: float) -> None:
    """Set the rate of step `step` of `total`: a straight rise over the share `warmup`, then a half cosine."""
    rise = round(warmup * total)
    share = (step + 1) / rise if step < rise else (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * share
