"""SigLIP 2 for images of any aspect ratio (NaFlex): an image is a sequence of patches of limited length."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import resize
from transformers.models.siglip2.image_processing_siglip2 import (
    convert_image_to_patches,
    get_image_size_for_max_num_patches,
)

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.encoders.encoder import Pixels


class NaflexEncoder(DualEncoder):
    """A `DualEncoder` whose images keep their aspect ratio; `model` is a `TransformersModel`."""

    def prepare(self, image: Image.Image) -> Pixels:
        """Resize a PIL image of any mode and size to whole patches, at most `max_num_patches` of them.

        Returns:
            (3, H, W) uint8; height and width are multiples of the patch size.
        """
        height, width = get_image_size_for_max_num_patches(
            image.height, image.width, self._patch_size, self.model.max_num_patches
        )
        mode = InterpolationMode(self.model.visual.preprocess_cfg["interpolation"])
        return np.asarray(resize(image.convert("RGB"), [height, width], mode)).transpose(2, 0, 1)

    @property
    def _patch_size(self) -> int:
        size: int = self.model.network.config.vision_config.patch_size
        return size

    def _pixel_batches(self, images: Iterable[Image.Image | Pixels], size: int) -> Iterator[Any]:
        remaining = iter(images)
        while batch := [
            image if isinstance(image, np.ndarray) else self.prepare(image)
            for image in islice(remaining, size)
        ]:
            yield self._inputs([torch.from_numpy(pixels.copy()) for pixels in batch])

    def _inputs(self, batch: list[Tensor]) -> dict[str, Tensor]:
        """Return patches (B, N, 3 p p) padded with zeros, their mask (B, N), and rows and columns (B, 2)."""
        sequences = [
            convert_image_to_patches(self.normalise(pixels[None].to(self.device) / 255)[0], self._patch_size)
            for pixels in batch
        ]
        longest = self.model.max_num_patches  # transformers pads to this, too
        padded = [torch.nn.functional.pad(each, (0, 0, 0, longest - len(each))) for each in sequences]
        used = torch.tensor([len(each) for each in sequences], device=self.device)
        shapes = [[side // self._patch_size for side in pixels.shape[1:]] for pixels in batch]
        return {
            "pixel_values": torch.stack(padded).to(self.dtype),
            "pixel_attention_mask": (torch.arange(longest, device=self.device) < used[:, None]).int(),
            "spatial_shapes": torch.tensor(shapes, device=self.device),
        }
