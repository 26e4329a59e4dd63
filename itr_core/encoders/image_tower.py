"""The image tower in parts: its trunk, its last projection, and its patch tokens.

Training on cached image features computes the output of the trunk once and trains only the last projection.
"""

from typing import Any

import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from itr_core.errors import ModelError

CHANNEL_BLOCK = 16
"""Channels that oneDNN computes together; 8 on processors without AVX-512."""


def memory_layout(visual: nn.Module) -> torch.memory_format:
    """Return the layout of the weights and pixels of an image tower.

    It is channels last for towers of several convolutions: MobileNetV2 trains 1.6 times as fast on a CPU.
    Strided 1 x 1 convolutions of few channels, as in the first layer of MobileCLIP, are the exception: in
    channels last, oneDNN writes beyond its memory when it computes their gradients, so that these are wrong
    or the process ends (oneDNN issue 6035, in torch 2.14).
    """
    convolutions = [each for each in visual.modules() if isinstance(each, nn.Conv2d)]
    unsafe = any(
        each.kernel_size == (1, 1) and each.stride != (1, 1) and each.in_channels < CHANNEL_BLOCK
        for each in convolutions
    )
    return torch.channels_last if len(convolutions) > 1 and not unsafe else torch.contiguous_format


def trunk(visual: Any, pixels: Tensor) -> Tensor:
    """Map pixels (B, 3, H, W) to features (B, f), the input of the tower's last projection.

    Raises:
        ModelError: Pooling and projection are one step in this tower (some timm heads).
    """
    if isinstance(visual, VisionTransformer) and visual.pool_type != "none" and visual.proj is not None:
        return visual._pool(visual.transformer(visual._embeds(pixels)))[0]
    if isinstance(visual, TimmModel) and "pool" not in visual.head._modules and len(visual.head):
        return visual.trunk(pixels)
    if isinstance(visual, ModifiedResNet):
        return _attention_pool(visual.attnpool, _feature_map(visual, pixels))
    raise ModelError(
        f"The image tower {_name(visual)} cannot be split before its last projection, so it cannot be "
        "trained on cached features; train on the images themselves, or choose a ViT or a timm tower with a "
        "linear head."
    )


def head(visual: Any, features: Tensor) -> Tensor:
    """Map the output of `trunk`, (B, f), to embeddings (B, d), not normalised."""
    if isinstance(visual, VisionTransformer):
        return features @ visual.proj
    return (visual.attnpool.c_proj if isinstance(visual, ModifiedResNet) else visual.head)(features)


def head_width(visual: Any) -> int | None:
    """Return f, the width of the features that `head` takes, or None if the tower cannot be split."""
    if isinstance(visual, VisionTransformer):
        return None if visual.proj is None else int(visual.proj.shape[0])
    if isinstance(visual, ModifiedResNet):
        return int(visual.attnpool.c_proj.in_features)
    layers = getattr(visual, "head", nn.Identity()).modules()
    return next((layer.in_features for layer in layers if isinstance(layer, nn.Linear)), None)


def is_head(name: str) -> bool:
    """Return whether a weight of an image tower, by its name, belongs to the last projection."""
    return name == "proj" or name.startswith(("head.", "attnpool.c_proj."))


def with_tokens(visual: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Map pixels (B, 3, H, W) to embeddings (B, d) and patch tokens (B, P, d), not normalised.

    Patch tokens are in the joint space: each is what the tower would return if it pooled this patch alone. A
    ViT applies its final norm and projection to each patch; a convolutional tower applies its pooling head to
    each position of the feature map; an attention-pooled ResNet applies its value and output projections, as
    in MaskCLIP (Zhou et al. 2022, arXiv:2112.01071).

    Raises:
        ModelError: The tower has no patch tokens in the joint space.
    """
    if isinstance(visual, VisionTransformer) and visual.pool_type != "none" and visual.attn_pool is None:
        pooled, tokens = visual._pool(visual.transformer(visual._embeds(pixels)))
        if visual.final_ln_after_pool:
            tokens = visual.ln_post(tokens)
        return head(visual, pooled), head(visual, tokens)
    if isinstance(visual, TimmModel) and "pool" not in visual.head._modules:
        features = visual.trunk.forward_features(pixels)
        pooled = visual.head(visual.trunk.forward_head(features))
        return pooled, _project_each_patch(visual, features)
    if isinstance(visual, ModifiedResNet):
        features, pool = _feature_map(visual, pixels), visual.attnpool
        values = pool.v_proj(features.flatten(2).mT + pool.positional_embedding[1:].to(features.dtype))
        return pool(features), pool.c_proj(values)
    raise ModelError(f"The image tower {_name(visual)} has no patch tokens in the joint space.")


def _feature_map(visual: ModifiedResNet, pixels: Tensor) -> Tensor:
    return visual.forward_intermediates(pixels, indices=1)["image_intermediates"][-1]


def _attention_pool(pool: AttentionPool2d, features: Tensor) -> Tensor:
    """Apply attention pooling without its last projection: feature map (B, C, h, w) -> (B, C)."""
    x = features.flatten(2).mT
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + pool.positional_embedding.to(features.dtype)
    projected = pool.q_proj(x[:, :1]), pool.k_proj(x), pool.v_proj(x)
    q, k, v = (part.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2) for part in projected)
    return F.scaled_dot_product_attention(q, k, v).flatten(1)


def _project_each_patch(visual: Any, features: Tensor) -> Tensor:
    """Apply the pooling head of a timm tower to each patch as if it were the whole image: -> (B, P, d)."""
    net = visual.trunk
    if features.ndim == 3:  # a sequence (B, prefix + P, C)
        prefix = getattr(net, "num_prefix_tokens", 0)
        rows = features[:, prefix:]
        single = rows.flatten(0, 1)[:, None]
        if net.global_pool != "token":  # the other pools remove the prefix first, so each patch needs one
            single = torch.cat([features[:, :prefix].repeat_interleave(rows.shape[1], 0), single], dim=1)
    elif getattr(net, "output_fmt", "NCHW") == "NHWC":  # a map (B, h, w, C) becomes B h w maps of 1 x 1
        rows = features.flatten(1, 2)
        single = rows.flatten(0, 1)[:, None, None]
    else:  # a map (B, C, h, w)
        rows = features.flatten(2).mT
        single = rows.flatten(0, 1)[:, :, None, None]
    return visual.head(net.forward_head(single)).unflatten(0, rows.shape[:2])


def _name(visual: Any) -> str:
    return type(visual.trunk if isinstance(visual, TimmModel) else visual).__name__
