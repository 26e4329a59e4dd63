"""The text tower without the cost of padding.

open_clip pads every text to the context length (77 tokens for CLIP) and runs the transformer over all
positions. If the tower is causal and pools a single position, later positions cannot affect the result.
`TextTower` then skips them: it concatenates the texts of a batch, so that the linear layers process no
padding, and computes the last block for the pooled position only. Texts that begin with the same tokens have
the same hidden states there; on the CPU, without gradients, these are computed once. Attention still needs
padding up to the longest text: large batches are encoded in groups of texts of similar length. Hugging Face
towers mask padding in their attention: for them, padding after the longest text of a group is cut. The
result equals open_clip's `encode_text` up to rounding. All other towers are run by open_clip's own code.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from open_clip import CLIP
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import ResidualAttentionBlock, TextTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from itr_core.encoders.frozen_text import FrozenOutputs
from itr_core.errors import ModelError

GROUP = 128
"""Fewest texts of one group of similar length. A step of training on 640 captions of 3 to 60 words takes half
the time in groups."""


class TextTower:
    """Embed token ids with the text tower of an open_clip model; has no weights of its own.

    Args:
        model: an open_clip model.
        special_ids: ids of the tokenizer's special tokens (start, end, padding).
        end_id: id of the end token; None if the tokenizer has none.
    """

    def __init__(self, model: nn.Module, special_ids: Sequence[int], end_id: int | None) -> None:
        self.model: Any = model
        self.tower: Any = getattr(model, "text", model)
        self.pool = getattr(self.tower, "pool_type", None) or getattr(self.tower, "text_pool_type", "")
        self.special_ids = list(special_ids)
        self.end_id = end_id
        self.skips_padding = self._padding_has_no_effect()
        self._frozen: FrozenOutputs | None = None

    def __call__(self, ids: Tensor) -> Tensor:
        """Map token ids (B, L) to embeddings (B, d), not normalised; differentiable."""
        if self.skips_padding:
            return _in_groups(self._without_padding, ids, self.pooled_position(ids))
        if isinstance(self.tower, HFTextEncoder):
            return self.tower.proj((self._frozen or self.features)(ids))
        return self.model.encode_text(ids, normalize=False)

    def keep_outputs(self) -> None:
        """Encode each text once from now on, because the tower is frozen up to its projection.

        This has an effect on Hugging Face towers only. They must be in evaluation mode.
        """
        if isinstance(self.tower, HFTextEncoder):
            self._frozen = FrozenOutputs(self.features, self.tower.config.pad_token_id)

    def with_tokens(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map token ids (B, L) to embeddings (B, d), word tokens (B, l, d), l <= L, and their mask (B, l).

        Word tokens pass through the tower's final norm and projection, like the pooled position. The mask is
        True at sub-words and False at start, end and padding.

        Raises:
            ModelError: The tower has no word tokens in the joint space.
        """
        if self.skips_padding:
            pooled, tokens = self._tokens_without_padding(ids)
        elif isinstance(self.tower, TextTransformer):
            out = self.tower.forward_intermediates(
                ids, indices=1, normalize_intermediates=True, output_fmt="NLC"
            )
            pooled, tokens = out["text_features"], self.project(out["text_intermediates"][-1])
        elif isinstance(self.tower, HFTextEncoder):
            features, hidden = self._without_last_padding(ids)
            pooled, tokens = self.tower.proj(features), self.tower.proj(hidden)
        else:
            raise ModelError(f"{type(self.tower).__name__} has no word tokens in the joint space.")
        mask = self._word_mask(ids)[:, : tokens.shape[1]]
        return pooled, tokens, mask

    def features(self, ids: Tensor) -> Tensor:
        """Run a Hugging Face tower up to its projection: token ids (B, L) -> (B, f)."""
        return _in_groups(lambda group: self._without_last_padding(group)[0], ids, self._last_token(ids))

    def _without_last_padding(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Run a Hugging Face tower: token ids (B, L) -> features (B, f), hidden states (B, l, f), l <= L."""
        ids = ids[:, : int(self._last_token(ids).max()) + 1]
        mask = (ids != self.tower.config.pad_token_id).long()
        output = self.tower.transformer(input_ids=ids, attention_mask=mask)
        return self.tower.pooler(output, mask), output.last_hidden_state

    def _last_token(self, ids: Tensor) -> Tensor:
        """Return the position of the last token of each text before the padding, (B,)."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        return (positions * (ids != self.tower.config.pad_token_id)).amax(dim=1)

    def _word_mask(self, ids: Tensor) -> Tensor:
        mask = ~torch.isin(ids, torch.tensor(self.special_ids, device=ids.device))
        if self.end_id is not None:  # CLIP pads with 0, which is also the id of '!'
            mask &= (ids == self.end_id).cumsum(dim=1) == 0
        return mask

    def _padding_has_no_effect(self) -> bool:
        tower = self.tower
        return (
            type(tower) in (CLIP, TextTransformer)
            and tower.attn_mask is not None
            and getattr(tower, "cls_emb", None) is None
            and not getattr(tower, "use_pad_mask", False)
            and self.pool in ("argmax", "eos")
            and all(type(block) is ResidualAttentionBlock for block in tower.transformer.resblocks)
        )

    def pooled_position(self, ids: Tensor) -> Tensor:
        """Return the position whose output a causal tower projects, (B,)."""
        if self.pool == "argmax":
            return ids.argmax(dim=1)
        eos = self.tower.eos_id if hasattr(self.tower, "eos_id") else self.tower.text_eos_id
        return (ids == eos).int().argmax(dim=1)

    def project(self, x: Tensor) -> Tensor:
        """Apply the last projection of an open_clip tower: (..., w) -> (..., d)."""
        projection = self.tower.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def _without_padding(self, ids: Tensor) -> Tensor:
        """Embed token ids (B, L) -> (B, d)."""
        # A GPU would wait for the numbers of the beginnings.
        shares = ids.is_cpu and len(ids) > 1 and not torch.is_grad_enabled()
        x, packing, ends = self._all_blocks_but_last(ids, _SharedBeginnings if shares else _Packing)
        x = _last_block(self.tower.transformer.resblocks[-1], x, packing, ends)
        return self.project(self.tower.ln_final(x))

    def _tokens_without_padding(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Embed token ids (B, L) -> (B, d), and all l <= L positions up to the longest text -> (B, l, d)."""
        x, packing, ends = self._all_blocks_but_last(ids, _Packing)
        x = _block(self.tower.transformer.resblocks[-1], x, packing)
        x = self.project(self.tower.ln_final(x))
        return x[ends], packing.unpack(x)

    def _all_blocks_but_last(self, ids: Tensor, pack: type["_Packing"]) -> tuple[Tensor, "_Packing", Tensor]:
        """Return hidden states (T, w), how they are packed, and the pooled row of each text (B,)."""
        tower = self.tower
        last = self.pooled_position(ids)
        length = int(last.max()) + 1
        positions = torch.arange(length, device=ids.device)
        packing = pack(positions <= last[:, None], ids[:, :length])
        position = packing.select(positions.expand(len(ids), -1))
        x = tower.token_embedding(packing.select(ids[:, :length])) + F.embedding(
            position, tower.positional_embedding
        )
        x = x.to(tower.transformer.get_cast_dtype())
        again = tower.transformer.grad_checkpointing and torch.is_grad_enabled()
        for block in tower.transformer.resblocks[:-1]:
            x = (
                checkpoint(_block, block, x, packing, use_reentrant=False)
                if again
                else _block(block, x, packing)
            )
        return x, packing, packing.ends(last)


def _in_groups(encode: Callable[[Tensor], Tensor], ids: Tensor, length: Tensor) -> Tensor:
    """Embed token ids (B, L) -> (B, d), large batches in groups of texts of similar length (B,)."""
    if len(ids) < 2 * GROUP:
        return encode(ids)
    order = length.argsort()
    groups = [encode(ids[rows]) for rows in order.chunk(min(4, len(ids) // GROUP))]
    return torch.cat(groups)[order.argsort()]


class _Packing:
    """Conversion between a padded batch (B, l, w) and its T used positions, text after text, (T, w)."""

    def __init__(self, used: Tensor, ids: Tensor) -> None:
        self.used = used  # (B, l) bool, True up to the pooled position of each text
        self.equal_lengths = bool(used.all())

    def unpack(self, x: Tensor) -> Tensor:
        if self.equal_lengths:
            return x.unflatten(0, self.used.shape)
        padded = x.new_zeros(*self.used.shape, x.shape[-1])
        padded[self.used] = x
        return padded

    def pack(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1) if self.equal_lengths else x[self.used]

    def select(self, x: Tensor) -> Tensor:
        """Return the values (T,) of a batch (B, l)."""
        return x[self.used]

    def ends(self, last: Tensor) -> Tensor:
        """Return the packed row of a position of each text, (B,)."""
        return (last + 1).cumsum(0) - 1


class _SharedBeginnings(_Packing):
    """The same, but texts that begin with the same tokens share these positions: T different beginnings."""

    def __init__(self, used: Tensor, ids: Tensor) -> None:
        super().__init__(used, ids)
        self.number = torch.zeros_like(ids)  # (B, l), of the beginning that ends at a position
        vocabulary, count = int(ids.max()) + 1, 0
        for position in range(ids.shape[1]):
            rows = used[:, position]
            key = self.number[rows, max(0, position - 1)] * vocabulary + ids[rows, position]
            different, numbers = key.unique(return_inverse=True)
            self.number[rows, position] = numbers + count
            count += len(different)
        flat = used.flatten().nonzero()[:, 0]
        self.places = flat.new_empty(count)  # (T,), one of the places of each beginning
        self.places[self.number.flatten()[flat]] = flat

    def unpack(self, x: Tensor) -> Tensor:
        return x[self.number]  # padding gets any value: no earlier position attends to it

    def pack(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1)[self.places]

    def select(self, x: Tensor) -> Tensor:
        return x.flatten()[self.places]

    def ends(self, last: Tensor) -> Tensor:
        return self.number.gather(1, last[:, None])[:, 0]


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute `F.linear`; for the few rows of one query, BLAS needs half the time with the weights first."""
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


def _block(block: ResidualAttentionBlock, x: Tensor, packing: _Packing) -> Tensor:
    attn = block.attn
    qkv = packing.unpack(_linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias))
    q, k, v = (_heads(part, attn.num_heads) for part in qkv.chunk(3, dim=-1))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    return _rest_of_block(block, x, packing.pack(mixed))


def _last_block(block: ResidualAttentionBlock, x: Tensor, packing: _Packing, ends: Tensor) -> Tensor:
    """Compute the last block at the pooled position of each text only: (T, w) -> (B, w)."""
    attn, width = block.attn, x.shape[-1]
    normed = block.ln_1(x)
    q = _linear(normed[ends], attn.in_proj_weight[:width], attn.in_proj_bias[:width])[:, None]
    kv = packing.unpack(_linear(normed, attn.in_proj_weight[width:], attn.in_proj_bias[width:]))
    q, k, v = (_heads(part, attn.num_heads) for part in (q, *kv.chunk(2, dim=-1)))
    mask = None if packing.equal_lengths else packing.used[:, None, None, :]
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return _rest_of_block(block, x[ends], mixed.flatten(1))
