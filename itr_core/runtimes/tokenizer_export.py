"""The tokenizer of a model as one `tokenizer.json`, which the library tokenizers reads without torch."""

from typing import Any

from open_clip import SimpleTokenizer
from open_clip.tokenizer import HFTokenizer, _clean_canonicalize, _clean_lower, _clean_whitespace
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from itr_core.errors import ModelError

_CLEAN = {_clean_lower: "lower", _clean_whitespace: "whitespace", _clean_canonicalize: "canonicalize"}
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def exported_tokenizer(tokenizer: Any) -> tuple[str, int, str]:
    """Return the content of tokenizer.json, the id of the padding, and how texts are cleaned.

    Raises:
        ModelError: The tokenizer does more than a tokenizer.json can say.
    """
    cleaning = _CLEAN.get(getattr(tokenizer, "clean_fn", None))
    plain = isinstance(tokenizer, SimpleTokenizer) and tokenizer.reduction_fn is None
    own = isinstance(tokenizer, HFTokenizer) and not (tokenizer.tokenizer_mode or tokenizer.strip_sep_token)
    if cleaning is None or not (plain or own):
        raise ModelError(f"The tokenizer {type(tokenizer).__name__} of this model cannot be exported.")
    if plain:
        return _clip(tokenizer).to_str(), 0, cleaning
    inner = tokenizer.tokenizer
    if inner.padding_side != "right" or inner.truncation_side != "right":
        raise ModelError("The tokenizer of this model pads or truncates on the left, and cannot be exported.")
    return inner.backend_tokenizer.to_str(), int(inner.pad_token_id), cleaning


def _clip(tokenizer: SimpleTokenizer) -> Tokenizer:
    """Return CLIP's byte-pair encoding with the same merges and ids."""
    start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
    known = tokenizer.decoder
    clip = Tokenizer(
        models.BPE(
            vocab=tokenizer.encoder,
            merges=list(tokenizer.bpe_ranks),
            end_of_word_suffix="</w>",
            continuing_subword_prefix="",
        )
    )
    clip.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    clip.post_processor = processors.TemplateProcessing(
        single=f"{known[start]} $A {known[end]}", special_tokens=[(known[start], start), (known[end], end)]
    )
    return clip
