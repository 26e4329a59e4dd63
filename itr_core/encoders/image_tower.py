"""The image tower, opened: patch tokens, and the seam between the trunk and the last projection.

Training on cached image features runs the trunk once and learns only what comes behind the seam.
"""

from typing import Any

import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from itr_core.errors import ModelError


def trunk(visual: Any, pixels: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) -> (B, f), what enters the tower's last projection.

    Raises `ModelError` where pooling and projection are one step (some timm heads).
    """
    if isinstance(visual, VisionTransformer) and visual.pool_type != "none" and visual.proj is not None:
        return visual._pool(visual.transformer(visual._embeds(pixels)))[0]
    if isinstance(visual, TimmModel) and "pool" not in visual.head._modules and len(visual.head):
        return visual.trunk(pixels)
    if isinstance(visual, ModifiedResNet):
        return _attended(visual.attnpool, _places(visual, pixels))
    raise ModelError(
        f"The image tower {_name(visual)} has no seam before its last projection: it cannot learn from "
        "cached features; train on the images themselves, or choose a ViT or a timm tower with a linear head."
    )


def head(visual: Any, features: Tensor) -> Tensor:
    """What `trunk` left out: (B, f) -> (B, d), not normalised."""
    if isinstance(visual, VisionTransformer):
        return features @ visual.proj
    return (visual.attnpool.c_proj if isinstance(visual, ModifiedResNet) else visual.head)(features)


def is_head(name: str) -> bool:
    """Whether the weight `name` of an image tower lies behind the seam."""
    return name == "proj" or name.startswith(("head.", "attnpool.c_proj."))


def with_tokens(visual: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (B, 3, H, W) -> embeddings (B, d) and patch tokens (B, P, d) in the joint space, not normalised.

    A token is what the tower would make of its patch alone: final norm and projection for a ViT, the
    pooling head applied to one place of the feature map for convolutional towers (for attention-pooled
    ResNets value and output projection, as in MaskCLIP, Zhou et al. 2022). Raises `ModelError` for towers
    without such places.
    """
    if isinstance(visual, VisionTransformer) and visual.pool_type != "none" and visual.attn_pool is None:
        pooled, tokens = visual._pool(visual.transformer(visual._embeds(pixels)))
        if visual.final_ln_after_pool:
            tokens = visual.ln_post(tokens)
        return head(visual, pooled), head(visual, tokens)
    if isinstance(visual, TimmModel) and "pool" not in visual.head._modules:
        places = visual.trunk.forward_features(pixels)
        pooled = visual.head(visual.trunk.forward_head(places))
        return pooled, _each_place(visual, places)
    if isinstance(visual, ModifiedResNet):
        places, pool = _places(visual, pixels), visual.attnpool
        values = pool.v_proj(places.flatten(2).mT + pool.positional_embedding[1:].to(places.dtype))
        return pool(places), pool.c_proj(values)
    raise ModelError(f"The image tower {_name(visual)} has no patch tokens in the joint space.")


def _places(visual: ModifiedResNet, pixels: Tensor) -> Tensor:
    return visual.forward_intermediates(pixels, indices=1)["image_intermediates"][-1]


def _attended(pool: AttentionPool2d, places: Tensor) -> Tensor:
    """Attention pooling without its last projection: map (B, C, h, w) -> (B, C)."""
    x = places.flatten(2).mT
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + pool.positional_embedding.to(places.dtype)
    projected = pool.q_proj(x[:, :1]), pool.k_proj(x), pool.v_proj(x)
    q, k, v = (part.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2) for part in projected)
    return F.scaled_dot_product_attention(q, k, v).flatten(1)


def _each_place(visual: Any, places: Tensor) -> Tensor:
    net = visual.trunk
    if places.ndim == 3:  # a sequence
        prefix = getattr(net, "num_prefix_tokens", 0)
        rows = places[:, prefix:]
        single = rows.flatten(0, 1)[:, None]
        if net.global_pool != "token":  # the other pools first drop the prefix, so each patch brings it along
            single = torch.cat([places[:, :prefix].repeat_interleave(rows.shape[1], 0), single], dim=1)
    elif getattr(net, "output_fmt", "NCHW") == "NHWC":  # a map, made a row of 1 x 1 maps
        rows = places.flatten(1, 2)
        single = rows.flatten(0, 1)[:, None, None]
    else:
        rows = places.flatten(2).mT
        single = rows.flatten(0, 1)[:, :, None, None]
    return visual.head(net.forward_head(single)).unflatten(0, rows.shape[:2])


def _name(visual: Any) -> str:
    return type(visual.trunk if isinstance(visual, TimmModel) else visual).__name__
