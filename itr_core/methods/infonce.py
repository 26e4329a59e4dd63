"""InfoNCE: the objective of CLIP, and the baseline for all other methods."""

import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError
from itr_core.methods.base import INFONCE, Method, Setup, require_at_least
from itr_core.methods.components.info_nce import exact_info_nce, symmetric_info_nce


class InfoNCE(Method):
    r"""`symmetric_info_nce` at the learned temperature tau of the encoder, alone or with further terms.

        L = L_con(v, t) + siblings L_con(s, t) + hard_negatives L_hard(v, t, f)

        s_i = sum_{j != i, image_id_j = image_id_i} t_j / |t_j|
        L_hard = 1/B sum_i log(1 + exp((v_i . f_i - v_i . t_i) / tau))

    L_con(s, t) contrasts each caption with the other captions of its image. It brings different words for the
    same thing together when there are few images. L_hard contrasts a caption t_i with a caption f_i that
    differs in one fact and that the source knows to be false of the image v_i (all of unit norm).

    With `exact_negatives`, L_con(v, t) is `exact_info_nce`: no caption that the source knows to be true of an
    image is a negative of it, and false captions f are further candidates for all images.
    More of the images that a text is true of are found then. But the own captions of an image need not rank
    above general captions of other images that are true of it, and I2T R@K counts these as errors: it falls.

    Args:
        siblings: weight of L_con(s, t), >= 0. If it is above 0, every image needs at least two captions in
            the batch (`captions_per_image`).
        hard_negatives: weight of L_hard, >= 0. If it is above 0, the source must have false captions, as
            picturebook:train+queries has.
        exact_negatives: whether negatives are what the source knows to be false. The source must know which
            captions are true of which images, as picturebook does.

    References:
        Yuksekgonul et al., When and Why Vision-Language Models Behave like Bags-Of-Words, and What to Do
        About It, arXiv:2210.01936, for hard negatives (NegCLIP).

    Relations:
        siblings = hard_negatives = 0 without exact_negatives (the default) is plain InfoNCE. L_hard is
        InfoNCE from image to text with two candidates.

    Deviations from the paper:
        NegCLIP adds the hard negatives of all captions of the batch to the sum of L_con. Those of other
        images can be true of an image, and among hundreds of captions one that is nearly right has little
        weight. Here each caption is contrasted with its own hard negative alone.
    """

    weights = {INFONCE: 1.0}  # noqa: RUF012 - never changed in place

    def __init__(
        self, *, siblings: float = 0.0, hard_negatives: float = 0.0, exact_negatives: bool = False
    ) -> None:
        super().__init__()
        require_at_least(0, siblings=siblings, hard_negatives=hard_negatives)
        if hard_negatives:
            self.needs |= {"false_captions"}
        if exact_negatives:
            self.needs |= {"relevance"}
        self.exact_negatives = exact_negatives
        terms = {"infonce_siblings": siblings, "infonce_hard": hard_negatives}
        self.weights = {INFONCE: 1.0} | {name: weight for name, weight in terms.items() if weight}

    def build(self, setup: Setup) -> None:
        """Keep which captions are true of which images."""
        self._relevance = setup.relevance

    @property
    def has_shares(self) -> bool:
        """See `Method.has_shares`. The truth of a batch is looked up for all of its pairs at once."""
        return not self.exact_negatives

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return "infonce", and of "infonce_siblings" and "infonce_hard" those that have a weight."""
        return self._terms(out, batch)

    def share(self, out: EncoderOutput, batch: PairBatch, rows: slice) -> dict[str, Tensor]:
        """Return what some rows add to each term."""
        return self._terms(out, batch, rows)

    def _terms(self, out: EncoderOutput, batch: PairBatch, rows: slice | None = None) -> dict[str, Tensor]:
        scale, ids = out.logit_scale, batch.image_id
        if self.exact_negatives:
            terms = {INFONCE: self._exact(out, batch)}
        else:
            terms = {INFONCE: symmetric_info_nce(out.image, out.text, scale, ids, rows)}
        if "infonce_siblings" in self.weights:
            siblings = sum_of_siblings(out.text, ids)
            terms["infonce_siblings"] = symmetric_info_nce(siblings, out.text, scale, ids, rows)
        if "infonce_hard" in self.weights:
            assert out.negative is not None
            terms["infonce_hard"] = hard_negative_loss(
                out.image, out.text, out.negative.text, scale, rows or slice(0, len(ids))
            )
        return terms

    def _exact(self, out: EncoderOutput, batch: PairBatch) -> Tensor:
        """Compute `exact_info_nce` of the captions and false captions of a batch."""
        assert self._relevance is not None
        assert batch.caption_id is not None
        images, image_of_caption, counts = batch.image_id.unique_consecutive(
            return_inverse=True, return_counts=True
        )
        first_caption = counts.cumsum(0) - counts
        numbers, text = batch.caption_id, out.text
        if out.negative is not None:
            assert batch.negative_id is not None
            numbers, text = torch.cat([numbers, batch.negative_id]), torch.cat([text, out.negative.text])
        truth = torch.from_numpy(self._relevance.matrix(images.cpu().numpy(), numbers.cpu().numpy()))
        truth = truth.to(text.device)
        return exact_info_nce(out.image[first_caption], text, out.logit_scale, truth, image_of_caption)


def hard_negative_loss(image: Tensor, text: Tensor, false: Tensor, scale: Tensor, rows: slice) -> Tensor:
    """Return what some rows add to L_hard, (), of images, captions and false captions, each (B, d)."""
    difference = F.normalize(false[rows], dim=-1) - F.normalize(text[rows], dim=-1)  # (b, d)
    return F.softplus(scale * (F.normalize(image[rows], dim=-1) * difference).sum(-1)).sum() / len(image)


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
