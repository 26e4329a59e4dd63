"""The text tower, run at the length each text has instead of the full context.

open_clip pads every text to the context (77 tokens for CLIP) and runs the transformer over all of it. Where
the tower is causal and pools one position, nothing behind that position can reach the result. `TextTower`
leaves it out, lays the texts of a batch end to end so that the linear layers see no padding at all, and in
the last block follows only the pooled position. The result is open_clip's `encode_text` up to rounding;
towers for which the argument does not hold run as open_clip runs them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from open_clip import CLIP
from open_clip.transformer import ResidualAttentionBlock, TextTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from itr_core.errors import ModelError


class TextTower:
    """Embeds token ids with the text tower of an open_clip model; holds no weights of its own.

    `special_ids` are the tokenizer's ids that are no words (start, end, padding), `end_id` its end of text.
    """

    def __init__(self, model: nn.Module, special_ids: Sequence[int], end_id: int | None) -> None:
        self.model: Any = model
        self.tower: Any = getattr(model, "text", model)
        self.pool = getattr(self.tower, "pool_type", None) or getattr(self.tower, "text_pool_type", "")
        self.special_ids = list(special_ids)
        self.end_id = end_id
        self.trims = self._padding_cannot_matter()

    def __call__(self, ids: Tensor) -> Tensor:
        """Token ids (B, L) -> embeddings (B, d), not normalised; differentiable."""
        if not self.trims:
            return self.model.encode_text(ids, normalize=False)
        return self._packed(ids, tokens=False)[0]

    def with_tokens(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids (B, L) -> embeddings (B, d), word tokens (B, l, d) with l <= L, and their mask (B, l).

        Word tokens pass the tower's final norm and projection, as the pooled position does.
        Raises `ModelError` where the tower has no such tokens (Hugging Face text towers).
        """
        if self.trims:
            pooled, tokens = self._packed(ids, tokens=True)
        elif isinstance(self.tower, TextTransformer):
            out = self.tower.forward_intermediates(
                ids, indices=1, normalize_intermediates=True, output_fmt="NLC"
            )
            pooled, tokens = out["text_features"], self._project(out["text_intermediates"][-1])
        else:
            raise ModelError(
                f"{type(self.tower).__name__} has no word tokens in the joint space; use open_clip's own."
            )
        mask = self._words(ids)[:, : tokens.shape[1]]
        return pooled, tokens, mask

    def _words(self, ids: Tensor) -> Tensor:
        mask = ~torch.isin(ids, torch.tensor(self.special_ids, device=ids.device))
        if self.end_id is not None:  # CLIP pads with 0, which is also '!'
            mask &= (ids == self.end_id).cumsum(dim=1) == 0
        return mask

    def _padding_cannot_matter(self) -> bool:
        tower = self.tower
        return (
            type(tower) in (CLIP, TextTransformer)
            and tower.attn_mask is not None
            and getattr(tower, "cls_emb", None) is None
            and not getattr(tower, "use_pad_mask", False)
            and self.pool in ("argmax", "eos")
            and all(type(block) is ResidualAttentionBlock for block in tower.transformer.resblocks)
        )

    def _pooled_position(self, ids: Tensor) -> Tensor:
        if self.pool == "argmax":
            return ids.argmax(dim=1)
        eos = self.tower.eos_id if hasattr(self.tower, "eos_id") else self.tower.text_eos_id
        return (ids == eos).int().argmax(dim=1)

    def _project(self, x: Tensor) -> Tensor:
        projection = self.tower.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def _packed(self, ids: Tensor, tokens: bool) -> tuple[Tensor, Tensor]:
        tower = self.tower
        last = self._pooled_position(ids)
        length = int(last.max()) + 1
        positions = torch.arange(length, device=ids.device)
        rows = _Rows(positions <= last[:, None])
        ends = (last + 1).cumsum(0) - 1  # of each text, in the packed rows

        position = positions.expand(len(ids), -1)[rows.used]
        x = tower.token_embedding(ids[:, :length][rows.used]) + F.embedding(
            position, tower.positional_embedding
        )
        x = x.to(tower.transformer.get_cast_dtype())
        *blocks, final = tower.transformer.resblocks
        for block in blocks:
            x = _block(block, x, rows)
        x = _block(final, x, rows) if tokens else _last_block(final, x, rows, ends)
        x = self._project(tower.ln_final(x))
        return (x[ends], rows.unpack(x)) if tokens else (x, x)


class _Rows:
    """Texts of unequal length laid end to end: (B, l, w) with padding <-> (T, w) without."""

    def __init__(self, used: Tensor) -> None:
        self.used = used  # (B, l) bool, true up to each text's pooled position
        self.even = bool(used.all())

    def unpack(self, x: Tensor) -> Tensor:
        if self.even:
            return x.unflatten(0, self.used.shape)
        padded = x.new_zeros(*self.used.shape, x.shape[-1])
        padded[self.used] = x
        return padded

    def pack(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1) if self.even else x[self.used]


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`F.linear`; with the few rows of one query, BLAS takes half as long if the weights come first."""
    if x.is_cpu and 4 <= len(x) <= 64:
        return torch.addmm(bias[:, None], weight, x.T).T
    return F.linear(x, weight, bias)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, l, w) -> (B, h, l, w / h)


def _rest_of_block(block: ResidualAttentionBlock, x: Tensor, mixed: Tensor) -> Tensor:
    out, mlp = block.attn.out_proj, block.mlp
    x = x + block.ls_1(_linear(mixed, out.weight, out.bias))
    hidden = mlp.gelu(_linear(block.ln_2(x), mlp.c_fc.weight, mlp.c_fc.bias))
    return x + block.ls_2(_linear(hidden, mlp.c_proj.weight, mlp.c_proj.bias))


def _block(block: ResidualAttentionBlock, x: Tensor, rows: _Rows) -> Tensor:
    attn = block.attn
    qkv = rows.unpack(_linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias))
    q, k, v = (_heads(part, attn.num_heads) for part in qkv.chunk(3, dim=-1))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    return _rest_of_block(block, x, rows.pack(mixed))


def _last_block(block: ResidualAttentionBlock, x: Tensor, rows: _Rows, ends: Tensor) -> Tensor:
    """The last block for the pooled position alone: (T, w) -> (B, w)."""
    attn, width = block.attn, x.shape[-1]
    normed = block.ln_1(x)
    q = _linear(normed[ends], attn.in_proj_weight[:width], attn.in_proj_bias[:width])[:, None]
    kv = rows.unpack(_linear(normed, attn.in_proj_weight[width:], attn.in_proj_bias[width:]))
    q, k, v = (_heads(part, attn.num_heads) for part in (q, *kv.chunk(2, dim=-1)))
    mask = None if rows.even else rows.used[:, None, None, :]
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return _rest_of_block(block, x[ends], mixed.flatten(1))
