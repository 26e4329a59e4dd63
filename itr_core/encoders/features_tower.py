"""An image tower without a network: images come as features, which its projection maps to the joint space.

Region features and other features that were computed elsewhere have no network that Pairscope could run.
`features-2048/none` is a dual encoder for them. timm's registry makes open_clip build and load the tower.
"""

from typing import Any, NoReturn

from timm.models import register_model
from torch import nn

from itr_core.errors import ModelError


class FeaturesTrunk(nn.Module):
    """Stands where timm's image models have their network; it has no weights and reads no pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width
        self.default_cfg: dict[str, Any] = {}

    def reset_classifier(self, *_: Any, **__: Any) -> None:
        """Do nothing: there is no classifier."""

    def forward(self, _: Any) -> NoReturn:
        """Refuse pixels.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"This model was trained on image features with {self.num_features} numbers and has no network "
            "for images. Evaluate it on a source of features (precomp:, arrays:) or with --image-features."
        )


def image_features_2048(**_: Any) -> FeaturesTrunk:
    """Return the tower for bottom-up region features and ResNet features."""
    return FeaturesTrunk(2048)


def image_features_4096(**_: Any) -> FeaturesTrunk:
    """Return the tower for VGG features."""
    return FeaturesTrunk(4096)


for _function in (image_features_2048, image_features_4096):
    register_model(_function)
