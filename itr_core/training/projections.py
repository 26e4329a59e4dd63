"""New projections, fitted to the features that they project before the first step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from itr_core.encoders.dual_encoder import DualEncoder

SAMPLE = 256
"""Captions that are enough for `scale_text_projection`."""


def centre_image_projection(encoder: DualEncoder, features: Tensor) -> None:
    """Set the bias of the first layer of the image projection so that it maps the mean feature to zero.

    Features of a trunk that ends in a rectifier are never negative. Without this, all image embeddings start
    in one narrow cone (Liang et al. 2022, arXiv:2203.02053), and the first epochs only spread them.

    Args:
        encoder: a model with a new image projection; changed in place, if this projection has a bias.
        features: of the images, (n, f), or of their regions, (n, R, f).
    """
    layer = _first_layer(getattr(encoder.model.visual, "head", nn.Identity()))
    if layer is not None and layer.bias is not None:
        with torch.no_grad():
            layer.bias.copy_(-layer.weight @ features.flatten(0, -2).mean(0).to(layer.weight))


def scale_text_projection(encoder: DualEncoder, captions: Sequence[str]) -> None:
    """Scale the first layer of the text projection as if the features of the captions had unit variance.

    Sentence encoders are trained on cosines, so their outputs can have any length. Those of MiniLM have a
    standard deviation of 0.27, so that the hidden layer of a projection would start as a nearly linear one.

    Args:
        encoder: a model with a Hugging Face text tower and a new projection; changed in place.
        captions: a sample of the training captions.
    """
    layer = _first_layer(encoder.model.text.proj)
    if layer is not None:
        encoder.eval()
        with torch.no_grad():
            features = encoder.text_tower.features(encoder.tokenizer(list(captions)).to(encoder.device))
            layer.weight /= features.std()


def _first_layer(projection: Any) -> nn.Linear | None:
    return next((layer for layer in projection.modules() if isinstance(layer, nn.Linear)), None)
