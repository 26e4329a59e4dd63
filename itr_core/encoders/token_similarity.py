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
                _columns, patches, patch_gram, words[:, some, :end], text_mask[some, :end], lam_i2t, lam_t2i,
                use_reentrant=False, preserve_rng_state=False,
            )
        )  # fmt: skip
    return torch.cat(columns, dim=1)[:, order.argsort()]


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """(N, K, d) -> (h, N, K, d / h); each token of unit length over all heads together."""
    return F.normalize(tokens, dim=-1).unflatten(-1, (heads, -1)).movedim(-2, 0)


def _columns(
    patches: Tensor, patch_gram: Tensor, words: Tensor, mask: Tensor, lam_i2t: float, lam_t2i: float
) -> Tensor:
    """Patches (h, I, P, k), words (h, c, L, k) and mask (c, L) -> similarities (I, c)."""
    images, captions = patches.shape[1:3], mask.shape
    scores = words.flatten(1, 2) @ patches.flatten(1, 2).mT  # (h, c L, I P)
    lowest = torch.finfo(scores.dtype).min  # not -inf: a caption without words would give NaN
    outside = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, lowest)[..., None]

    of_patches = _fit(scores.unflatten(1, captions), words @ words.mT, lam_i2t, outside)  # (c, I P)
    of_patches = of_patches.unflatten(1, images).mean(-1).T
    of_words = _fit(scores.mT.contiguous().unflatten(1, images), patch_gram, lam_t2i)  # (I, c L)
    count = mask.sum(-1)
    of_words = (of_words.unflatten(1, captions) * mask).sum(-1) / count.clamp(min=1)
    return (of_patches + of_words) / 2 * (count > 0)


def _fit(scores: Tensor, gram: Tensor, sharpness: float, outside: Tensor | float = 0.0) -> Tensor:
    """Cosines of unit vectors and the contexts that each finds among the K tokens of every item.

    scores: (h, n, K, m) products of tokens and m vectors. gram: (h, n, K, K) of tokens. outside: (n, K, 1),
    added to the logits. Returns (n, m).
    """
    attention = (sharpness * scores + outside).softmax(-2)
    product = (attention * scores).sum((0, 2))
    square = (attention * (gram @ attention)).sum((0, 2))
    return product / square.clamp(min=1e-12).sqrt()
