"""AdamW with a learning rate for each part of a dual encoder, and a schedule without state."""

import math
from typing import Literal

import torch
from torch import nn

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.features.image_rows import trunk_state

Part = Literal["image", "text", "joint"]

_JOINT = ("text_projection", "text.proj.", "logit_scale", "logit_bias")


def parts_of(encoder: DualEncoder) -> dict[str, Part]:
    """Return for every weight whether it belongs to the image trunk, the text tower, or what joins them.

    The projections into the joint space, the temperature and the bias of the logits join them.
    """
    trunk = {id(weight) for weight in trunk_state(encoder).values()}

    def part(name: str, weight: nn.Parameter) -> Part:
        if id(weight) in trunk:
            return "image"
        return "joint" if name.startswith("visual.") or any(each in name for each in _JOINT) else "text"

    return {name: part(name, weight) for name, weight in encoder.model.named_parameters()}


def make_optimiser(
    encoder: DualEncoder,
    method: nn.Module,
    *,
    lr: float,
    image_lr_factor: float = 1.0,
    text_lr_factor: float = 1.0,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.98),
) -> torch.optim.AdamW:
    """Return AdamW over the weights that require gradients, with CLIP's epsilon.

    Args:
        encoder: the model; the factors apply to its image trunk and to its text tower, `lr` alone to the
            projections and temperatures.
        method: its weights are trained with `lr`.
        lr: peak learning rate; each group keeps its own as `peak_lr`, for `set_learning_rate`.
        image_lr_factor: multiplier of `lr` for the image trunk.
        text_lr_factor: multiplier of `lr` for the text tower.
        weight_decay: for weights with at least two dimensions; norms, biases and temperatures have none.
        betas: decays of the averages of gradients and of their squares; the default is CLIP's.
    """
    factors: dict[Part, float] = {"image": image_lr_factor, "text": text_lr_factor, "joint": 1.0}
    parts = parts_of(encoder)
    weights = [(weight, factors[parts[name]]) for name, weight in encoder.model.named_parameters()]
    weights += [(weight, 1.0) for weight in method.parameters()]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight, multiplier in weights:
        if weight.requires_grad:
            decay = weight_decay if weight.ndim >= 2 else 0.0
            groups.setdefault((lr * multiplier, decay), []).append(weight)
    return torch.optim.AdamW(
        [{"params": part, "peak_lr": peak, "weight_decay": decay} for (peak, decay), part in groups.items()],
        betas=betas,
        eps=1e-6,
    )


def set_learning_rate(
    optimiser: torch.optim.Optimizer, step: int, total: int, warmup: float, floor: float = 0.0
) -> None:
    """Set the learning rate of a step: linear rise over the first `warmup` of the steps, then a half cosine.

    Args:
        optimiser: from `make_optimiser`; every group has a `peak_lr`.
        step: in [0, total).
        total: number of steps.
        warmup: fraction of the steps, in [0, 1).
        floor: fraction of the peak at which the cosine ends, in [0, 1).
    """
    rise = round(warmup * total)
    if step < rise:
        share = (step + 1) / rise
    else:
        fall = (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2
        share = floor + (1 - floor) * fall
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * share
