"""The two towers of a model as modules that can be traced: uint8 pixels and token ids to embeddings.

A causal text tower takes ids of any length, so a short query stays short. A tower that sees its padding
(SigLIP) takes ids of the full context length.
"""

from typing import Any

import torch
from open_clip.hf_model import HFTextEncoder
from torch import Tensor, nn
from torch.nn import functional as F

from itr_core.encoders import DualEncoder
from itr_core.encoders.text_tower import TextTower
from itr_core.errors import ModelError


class ImageModule(nn.Module):
    """Pixels (B, 3, H, W) uint8 to embeddings (B, d) float32, not normalised."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        settings = encoder.model.visual.preprocess_cfg
        self.visual = encoder.model.visual
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255 * torch.tensor(settings["mean"])[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(settings["std"])[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise the pixels and run the tower."""
        embeddings: Tensor = self.visual((pixels.float() - self.mean) / self.std)
        return embeddings


class FixedText(nn.Module):
    """Token ids (B, context length) to embeddings (B, d), by the model's own code."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.model = encoder.model

    def forward(self, ids: Tensor) -> Tensor:
        """Run the tower."""
        embeddings: Tensor = self.model.encode_text(ids, normalize=False)
        return embeddings


class CausalText(nn.Module):
    """Token ids (B, L) of any L up to the context length to embeddings (B, d).

    open_clip's attention has the traced length in its shapes; this one has not. Padding after the end token
    needs no mask, because positions attend to earlier ones only.
    """

    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.tower: Any = tower.tower
        self.text = tower

    def forward(self, ids: Tensor) -> Tensor:
        """Run the tower; the last token's output is projected."""
        tower, length = self.tower, ids.shape[1]
        x = tower.token_embedding(ids) + tower.positional_embedding[:length]
        mask = tower.attn_mask[:length, :length]
        for block in tower.transformer.resblocks:
            x = x + block.ls_1(_attention(block.attn, block.ln_1(x), mask))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        ends = self.text.pooled_position(ids)[:, None, None].expand(-1, 1, x.shape[-1])
        return self.text.project(tower.ln_final(x.gather(1, ends)[:, 0]))


def _attention(attention: nn.MultiheadAttention, x: Tensor, mask: Tensor) -> Tensor:
    """Attend within (B, L, w) to earlier positions, by an additive mask (L, L)."""
    heads = attention.num_heads
    parts = F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)  # (B, h, L, w / h)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def text_module(encoder: DualEncoder) -> tuple[nn.Module, bool]:
    """Return the text tower, and whether it takes ids of any length.

    Raises:
        ModelError: The tower cannot be exported.
    """
    if type(encoder) is not DualEncoder or not hasattr(encoder.model, "logit_scale"):
        raise ModelError(f"{encoder.spec}: images of any aspect ratio (NaFlex) cannot be exported.")
    if encoder.spec.startswith(("transformers:", "sentence-transformers:")) or isinstance(
        encoder.text_tower.tower, HFTextEncoder
    ):
        raise ModelError(
            f"{encoder.spec}: text towers of transformers cannot be exported, those of open_clip can."
        )
    if encoder.text_tower.skips_padding:
        return CausalText(encoder.text_tower), True
    return FixedText(encoder), False
