"""InfoNCE: the objective of CLIP, and the baseline for all other methods."""

import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError
from itr_core.methods.base import INFONCE, Method
from itr_core.methods.components.info_nce import symmetric_info_nce


class InfoNCE(Method):
    r"""`symmetric_info_nce` at the learned temperature of the encoder; optionally also between captions.

        L = L_con(v, t) + siblings L_con(s, t),    s_i = sum_{j != i, image_id_j = image_id_i} t_j / |t_j|

    L_con(s, t) contrasts each caption with the other captions of its image. It brings different words for the
    same thing together when there are few images. With `hard_negatives`, L_con(v, t) also contrasts images
    with captions that the source knows to be false of them.

    Args:
        siblings: weight of L_con(s, t), >= 0. If it is above 0, every image needs at least two captions in
            the batch (`captions_per_image`).
        hard_negatives: contrast each image also with one false caption for each of its captions. The source
            must have false captions, as picturebook:train+queries has.

    References:
        Yuksekgonul et al., When and Why Vision-Language Models Behave like Bags-Of-Words, and What to Do
        About It, arXiv:2210.01936, for hard negatives (NegCLIP).

    Relations:
        siblings = 0 without hard negatives (the default) is plain InfoNCE.

    Deviations from the paper:
        NegCLIP contrasts an image with the hard negatives of all captions of the batch. Those of other images
        can be true of it, so that only its own are used here.
    """

    weights = {INFONCE: 1.0}  # noqa: RUF012 - never changed in place

    def __init__(self, *, siblings: float = 0.0, hard_negatives: bool = False) -> None:
        super().__init__()
        if siblings < 0:
            raise ModelError(f"siblings={siblings}: must be at least 0.")
        if hard_negatives:
            self.needs = frozenset({"false_captions"})
        if siblings:
            self.weights = {INFONCE: 1.0, "infonce_siblings": siblings}

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return {"infonce": L_con(v, t)} and, if it has a weight, {"infonce_siblings": L_con(s, t)}."""
        scale, ids = out.logit_scale, batch.image_id
        false = out.negative.text if out.negative else None
        terms = {INFONCE: symmetric_info_nce(out.image, out.text, scale, ids, false)}
        if "infonce_siblings" in self.weights:
            siblings = sum_of_siblings(out.text, ids)
            terms["infonce_siblings"] = symmetric_info_nce(siblings, out.text, scale, ids)
        return terms


def sum_of_siblings(text: Tensor, image_id: Tensor) -> Tensor:
    """Sum, for each caption (B, d), the unit embeddings of the other captions of its image: (B, d).

    Raises:
        ModelError: a caption is the only one of its image in the batch.
    """
    _, image = image_id.unique(return_inverse=True)
    if (image.bincount() == 1).any():
        raise ModelError(
            "siblings > 0 needs several captions of each image in a batch; set captions_per_image >= 2."
        )
    unit = F.normalize(text, dim=-1)
    sums = torch.zeros_like(unit[: int(image.max()) + 1]).index_add(0, image, unit)
    return sums[image] - unit
