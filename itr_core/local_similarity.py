"""How well the places of an image and the words of a caption answer to each other, each word to some place.

A single vector per image and caption is fast to search; the places and the words know the details. AsCL adds
this local similarity to the global one in training, and search re-ranks its best candidates by it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def local_similarity(
    image_tokens: Tensor,
    text_tokens: Tensor,
    text_mask: Tensor,
    *,
    lam_i2t: float = 4.0,
    lam_t2i: float = 9.0,
    heads: int = 1,
    chunk: int = 16,
) -> Tensor:
    r"""Each patch asks the words for its context, each word the patches; a pair scores how well they fit.

    With unit patches R_r and unit words W_w of one pair, attention without learned projections:

        ctx_r = sum_w softmax_w(lam_i2t R_r . W_w) W_w      (image to text)
        ctx_w = sum_r softmax_r(lam_t2i R_r . W_w) R_r      (text to image)
        S     = ( mean_r cos(R_r, ctx_r) + mean_w cos(W_w, ctx_w) ) / 2

    With several heads, dimensions are dealt out to them and each attends by its own share of R_r . W_w; the
    context is what they found, side by side.

    Contexts are never formed. As ctx_r = sum_w a_rw W_w, what a cosine needs of it is known already:

        R_r . ctx_r = sum_w a_rw (R_r . W_w)      |ctx_r|^2 = sum_{w,w'} a_rw a_rw' (W_w . W_w')

    so an attention weight costs one product of length L or P instead of d, and no d vectors are kept.

    Args:
        image_tokens: (I, P, d) patches, of any length.
        text_tokens: (T, L, d) words, of any length.
        text_mask: (T, L) bool, true at words; what is outside takes no part.
        lam_i2t, lam_t2i: sharpness of attention, dimensionless, > 0.
        heads: parts of attention; must divide d.
        chunk: captions at a time. Attention of one chunk, I x chunk x P x L x heads numbers, is all that
            exists at once: for the gradient it is computed again, not kept.

    Returns:
        (I, T), in [-1, 1]; 0 for a caption without words.

    Raises:
        ValueError: `heads` does not divide d.

    References:
        Gong et al., AsCL: An Asymmetry-sensitive Contrastive Learning Method for Image-Text Retrieval with
        Cross-Modal Fusion, arXiv:2405.10029. Lee et al., Stacked Cross Attention for Image-Text Matching,
        arXiv:1803.08024, where attention comes from.

    Deviations from the paper:
        Patches of the image tower take the place of detected regions, the text tower's sub-words that of
        BERT's. Words are brought to unit length like patches (the released code leaves them as they are), for
        which lam 4 and 9 fit one head rather than its eight.

    >>> patches, words = torch.eye(3)[None, :2], torch.eye(3)[None]
    >>> round(local_similarity(patches, words, torch.tensor([[True, True, False]])).item(), 4)
    0.9999
    """
    width = image_tokens.shape[-1]
    if width % heads:
        raise ValueError(f"heads={heads} must divide the {width} dimensions of the tokens.")
    patches = _heads(image_tokens, heads)
    words = _heads(text_tokens, heads)
    patch_gram = patches @ patches.mT
    lengths = (text_mask * torch.arange(1, text_mask.shape[1] + 1, device=text_mask.device)).amax(1)
    order = lengths.argsort(stable=True)  # captions of like length together, cut where the longest ends
    columns = []
    for some in order.split(chunk):
        end = int(lengths[some[-1]].clamp(min=1))
        columns.append(
            checkpoint(
                _columns, patches, patch_gram, words[some, :, :end], text_mask[some, :end], lam_i2t, lam_t2i,
                use_reentrant=False, preserve_rng_state=False,
            )
        )  # fmt: skip
    return torch.cat(columns, dim=1)[:, order.argsort()]


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """(N, K, d) -> (N, h, K, d / h); each token of unit length over all heads together."""
    return F.normalize(tokens, dim=-1).unflatten(-1, (heads, -1)).transpose(1, 2)


def _columns(
    patches: Tensor, patch_gram: Tensor, words: Tensor, mask: Tensor, lam_i2t: float, lam_t2i: float
) -> Tensor:
    """Patches (I, h, P, k), words (c, h, L, k) and mask (c, L) -> similarities (I, c)."""
    scores = torch.einsum("ihpk,chwk->chipw", patches, words)
    outside = ~mask[:, None, None, None]
    lowest = torch.finfo(scores.dtype).min  # not -inf: a caption without words would give NaN
    over_words = (lam_i2t * scores).masked_fill(outside, lowest).softmax(-1)
    over_patches = (lam_t2i * scores).softmax(-2)

    fit = (over_words * scores).sum(dim=(1, 4))  # (c, i, p)
    squares = (torch.einsum("chipw,chwv->chipv", over_words, words @ words.mT) * over_words).sum(dim=(1, 4))
    of_patches = _cosine(fit, squares).mean(-1)

    fit = (over_patches * scores).sum(dim=(1, 3))  # (c, i, w)
    squares = (torch.einsum("chipw,ihpq->chiqw", over_patches, patch_gram) * over_patches).sum(dim=(1, 3))
    count = mask.sum(-1, keepdim=True)
    of_words = (_cosine(fit, squares) * mask[:, None]).sum(-1) / count.clamp(min=1)

    return ((of_patches + of_words) / 2 * (count > 0)).T


def _cosine(product: Tensor, square: Tensor) -> Tensor:
    """Of a unit vector and a context, from their product and the context's squared length."""
    return product / square.clamp(min=1e-12).sqrt()
