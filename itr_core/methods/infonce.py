"""InfoNCE: the objective of CLIP, and the baseline of every other method."""

from torch import Tensor

from itr_core.methods.base import INFONCE, Method
from itr_core.methods.contrast import symmetric_info_nce
from itr_core.outputs import EncoderOutput, PairBatch


class InfoNCE(Method):
    """`symmetric_info_nce` at the encoder's own, learned temperature."""

    weights = {INFONCE: 1.0}  # noqa: RUF012 - a constant of the class

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return {"infonce": loss}."""
        return {INFONCE: symmetric_info_nce(out.image, out.text, out.logit_scale, batch.image_id)}
