"""Random crop, flip and colour jitter of a batch of images, on its device, with torch's global generator."""

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(pixels: Tensor, *, crop: float = 0.0, flip: bool = False, jitter: float = 0.0) -> Tensor:
    """Augment every image of a batch independently.

    Args:
        pixels: (B, 3, H, W), float in [0, 1].
        crop: maximum fraction of each side that is removed, in [0, 1). The rest, at a random position, is
            resized to (H, W).
        flip: mirror each image with probability 0.5; wrong where captions say left or right.
        jitter: brightness, contrast and saturation are multiplied by factors in [1 - jitter, 1 + jitter].

    Returns:
        (B, 3, H, W), float in [0, 1]; `pixels` itself if there is nothing to do.
    """
    n = len(pixels)
    if crop or flip:
        size = 1 - crop * torch.rand(n, device=pixels.device)
        side = (
            torch.where(torch.rand(n, device=pixels.device) < 0.5, -1.0, 1.0)
            if flip
            else torch.ones_like(size)
        )
        shift = (1 - size)[:, None] * (2 * torch.rand(n, 2, device=pixels.device) - 1)
        theta = torch.zeros(n, 2, 3, device=pixels.device)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = size * side, size, shift
        grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
        pixels = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    if jitter:
        brightness, contrast, saturation = 1 + jitter * (
            2 * torch.rand(3, n, 1, 1, 1, device=pixels.device) - 1
        )
        pixels = pixels * brightness
        pixels = torch.lerp(pixels.mean((1, 2, 3), keepdim=True), pixels, contrast)
        pixels = torch.lerp(pixels.mean(1, keepdim=True), pixels, saturation).clamp(0, 1)
    return pixels
