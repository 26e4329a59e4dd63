"""Local similarity of an image and a caption: cross-attention between patch tokens and word tokens.

The cosine of one vector per image and one per caption is fast to search but loses details. AsCL adds the
local similarity to the cosine in training, and search re-ranks its best candidates by both.
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
    r"""Compute the local similarity of every image with every caption by cross-attention.

    Each patch attends to the words and each word to the patches, without learned projections; the result is
    the mean cosine of a token and its context. For unit patches R_r and unit words W_w of one pair:

        ctx_r = sum_w softmax_w(lam_i2t R_r . W_w) W_w      (image to text)
        ctx_w = sum_r softmax_r(lam_t2i R_r . W_w) R_r      (text to image)
        S     = ( mean_r cos(R_r, ctx_r) + mean_w cos(W_w, ctx_w) ) / 2

    With several heads, the dimensions are divided among the heads as in multi-head attention, and the
    context is the concatenation of the heads' contexts.

    Contexts are not computed explicitly. With ctx_r = sum_w a_rw W_w, the cosine follows from products of
    tokens:

        R_r . ctx_r = sum_w a_rw (R_r . W_w)      |ctx_r|^2 = sum_{w,w'} a_rw a_rw' (W_w . W_w')

    Each attention weight therefore costs a product of length L or P instead of d, and no context of d
    dimensions is stored.

    Args:
        image_tokens: (I, P, d) patch tokens of any norm.
        text_tokens: (T, L, d) word tokens of any norm.
        text_mask: (T, L) bool, True at words; tokens outside have no effect.
        lam_i2t: inverse temperature of the patches' attention to words, > 0.
        lam_t2i: inverse temperature of the words' attention to patches, > 0.
        heads: number of attention heads; must divide d.
        chunk: captions per step. Memory is limited to the attention weights of one chunk,
            I x chunk x P x L x heads numbers; the backward pass recomputes them.

    Returns:
        (I, T) similarities in [-1, 1]; 0 for a caption without words.

    Raises:
        ValueError: `heads` does not divide d.

    References:
        Gong et al., AsCL: An Asymmetry-sensitive Contrastive Learning Method for Image-Text Retrieval with
        Cross-Modal Fusion, arXiv:2405.10029. Lee et al., Stacked Cross Attention for Image-Text Matching,
        arXiv:1803.08024, the source of the attention.

    Deviations from the paper:
        Patches of the image tower replace detected regions, and sub-words of the text tower replace BERT's.
        Words are normalised to unit length like patches, which the released code does not do; with unit
        length, lam = 4 and 9 suit one head instead of its eight.

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
    order = lengths.argsort(stable=True)  # captions of similar length share a chunk, truncated to its longest
    columns = []
    for rows in order.split(chunk):
        end = int(lengths[rows[-1]].clamp(min=1))
        columns.append(
            checkpoint(
                _columns, patches, patch_gram, words[:, rows, :end], text_mask[rows, :end], lam_i2t, lam_t2i,
                use_reentrant=False, preserve_rng_state=False,
            )
        )  # fmt: skip
    return torch.cat(columns, dim=1)[:, order.argsort()]


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """Normalise tokens and divide their dimensions among heads: (N, K, d) -> (h, N, K, d / h)."""
    return F.normalize(tokens, dim=-1).unflatten(-1, (heads, -1)).movedim(-2, 0)


def _columns(
    patches: Tensor, patch_gram: Tensor, words: Tensor, mask: Tensor, lam_i2t: float, lam_t2i: float
) -> Tensor:
    """Compute the similarities (I, c) of patches (h, I, P, k) and words (h, c, L, k) with mask (c, L)."""
    images, captions = patches.shape[1:3], mask.shape
    scores = words.flatten(1, 2) @ patches.flatten(1, 2).mT  # (h, c L, I P)
    lowest = torch.finfo(scores.dtype).min  # not -inf: a caption without words would give NaN
    outside = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, lowest)[..., None]

    to_words = scores.unflatten(1, captions)
    of_patches = _context_cosines(to_words, words @ words.mT, lam_i2t, outside)  # (c, I P)
    of_patches = of_patches.unflatten(1, images).mean(-1).T
    to_patches = scores.mT.contiguous().unflatten(1, images)
    of_words = _context_cosines(to_patches, patch_gram, lam_t2i)  # (I, c L)
    count = mask.sum(-1)
    of_words = (of_words.unflatten(1, captions) * mask).sum(-1) / count.clamp(min=1)
    return (of_patches + of_words) / 2 * (count > 0)


def _context_cosines(scores: Tensor, gram: Tensor, lam: float, outside: Tensor | float = 0.0) -> Tensor:
    """Compute the cosines of m unit vectors with their contexts among the K tokens of each of n items.

    Args:
        scores: (h, n, K, m) inner products of tokens and vectors.
        gram: (h, n, K, K) inner products of the tokens of one item.
        lam: inverse temperature of the attention.
        outside: (n, K, 1), added to the logits: very low at tokens outside the mask.

    Returns:
        (n, m).
    """
    attention = (lam * scores + outside).softmax(-2)
    product = (attention * scores).sum((0, 2))
    square = (attention * (gram @ attention)).sum((0, 2))
    return product / square.clamp(min=1e-12).sqrt()
