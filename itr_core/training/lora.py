"""Low-rank adaptation (LoRA, Hu et al. 2021, arXiv:2106.09685): train a small update of each large matrix.

A matrix W of a linear or attention layer stays fixed; the layer uses

    W + B A,    A: (r, in) random, B: (out, r) zero at the start, r the rank                    (eq. 3)

The update is a parametrization of torch (`torch.nn.utils.parametrize`): every code that reads the weight of
the layer gets the sum, also torch's attention, which reads its matrices without calling a layer.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import ModelError
from itr_core.training.optimiser import Part, parts_of


class LowRankUpdate(nn.Module):
    """Adds B A to a weight (out, in)."""

    def __init__(self, weight: Tensor, rank: int, random: torch.Generator) -> None:
        super().__init__()
        rank = min(rank, *weight.shape)
        bound = 1 / math.sqrt(weight.shape[1])  # as torch initialises a linear layer
        a = torch.empty(rank, weight.shape[1]).uniform_(-bound, bound, generator=random)
        self.A = nn.Parameter(a.to(weight.device))
        self.B = nn.Parameter(torch.zeros(len(weight), rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return W + B A, (out, in)."""
        return weight + self.B @ self.A


def add_low_rank_updates(
    encoder: DualEncoder, rank: int, parts: Iterable[Part], seed: int, *, in_full: Iterable[Part] = ()
) -> set[Part]:
    """Give every matrix of some parts of the encoder a low-rank update, and freeze all other weights.

    The temperature and the bias of the logits are still trained.

    Args:
        encoder: changed in place.
        rank: of each update; at most that of the matrix.
        parts: those with updates.
        seed: of the random A.
        in_full: parts whose weights are trained themselves.

    Returns:
        The parts that have updates. A tower of convolutions alone has none.

    Raises:
        ModelError: these parts have no linear or attention layer.
    """
    random = torch.Generator().manual_seed(seed)
    part_of, parts, in_full = parts_of(encoder), frozenset(parts), frozenset(in_full)
    for name, weight in encoder.model.named_parameters():
        weight.requires_grad_(name in ("logit_scale", "logit_bias") or part_of[name] in in_full)
    chosen = [
        (module, name, part)
        for path, module, name in _matrices(encoder.model)
        if (part := part_of[f"{path}.{name}" if path else name]) in parts
    ]
    if not chosen:
        raise ModelError(
            f"{encoder.spec} has no linear or attention layer to train with lora in its "
            f"{' and '.join(sorted(parts))} tower; train without lora."
        )
    for module, name, _ in chosen:
        update = LowRankUpdate(getattr(module, name), rank, random)
        parametrize.register_parametrization(module, name, update)
    return {part for *_, part in chosen}


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the state of a model by its usual names, with every update added to its weight."""
    state = model.state_dict()
    for path, module in model.named_modules():
        if parametrize.is_parametrized(module):
            prefix = f"{path}." if path else ""
            for name in [key for key in state if key.startswith(f"{prefix}parametrizations.")]:
                weight = name.removeprefix(f"{prefix}parametrizations.").partition(".")[0]
                del state[name]
                state[prefix + weight] = getattr(module, weight)
    return state


def _matrices(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Return the matrices of linear and attention layers: path of the module, module, name of the weight."""
    for path, module in model.named_modules():
        if not isinstance(module, nn.Embedding):
            for name, weight in module.named_parameters(recurse=False):
                if weight.ndim == 2 and name.endswith("weight"):
                    yield path, module, name
