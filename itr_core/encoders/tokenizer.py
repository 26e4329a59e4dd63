"""Tokenizers: train one on captions, and find where a tokenizer truncates a text."""

import tempfile
from collections.abc import Iterable
from typing import Any

from open_clip.tokenizer import HFTokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from itr_core.encoders.limits import split_text
from itr_core.errors import ModelError

PAD, START, END = "<pad>", "<start_of_text>", "<end_of_text>"


def train(texts: Iterable[str], *, vocab_size: int = 4096, context_length: int = 64) -> HFTokenizer:
    """Train a byte-level BPE tokenizer on captions (Sennrich et al. 2016, arXiv:1508.07909).

    It normalises text to NFKC and lower case and has no unknown token. The end token has the highest id, so
    that CLIP's `argmax` pooling finds it.

    Args:
        texts: captions.
        vocab_size: number of tokens including the 256 bytes and the three special tokens. It is an upper
            limit: few captions yield fewer tokens.
        context_length: number of token ids per text, including start and end.

    Returns:
        A tokenizer of open_clip's class. It maps N strings to ids (N, context_length): start, sub-words, end,
        padding with 0.
    """
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    # With the prefix space, 'dog' has the same id at the start of a text as in 'a dog'.
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        special_tokens=[PAD, START],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.add_special_tokens([END])
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(token, bpe.token_to_id(token)) for token in (START, END)],
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )
    with tempfile.TemporaryDirectory() as folder:  # open_clip's class reads a tokenizer from a folder only
        wrapped.save_pretrained(folder)
        return HFTokenizer(folder, context_length=context_length)


def special_ids(tokenizer: Any) -> tuple[list[int], int | None]:
    """Return the ids of all special tokens, and that of the end token (None if the tokenizer has none)."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    end = inner.eot_token_id if hasattr(inner, "eot_token_id") else inner.eos_token_id
    return list(inner.all_special_ids), end


def set_language(tokenizer: Any, language: str) -> None:
    """Set the language of all texts that a multilingual tokenizer with language tokens (NLLB) is given.

    Args:
        tokenizer: of open_clip's class; changed in place.
        language: a FLORES-200 code, such as 'fra_Latn'.

    Raises:
        ModelError: The tokenizer has no language tokens, or not this one.
    """
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    if not hasattr(inner, "src_lang"):
        raise ModelError(f"The tokenizer of this model has no languages, so #{language} cannot be set.")
    if inner.convert_tokens_to_ids(language) in (None, inner.unk_token_id):
        raise ModelError(f"The tokenizer has no language {language!r}; write a code such as fra_Latn.")
    inner.src_lang = language  # open_clip's set_language lasts until the next call only


def split_at_context(tokenizer: Any, text: str) -> tuple[str, str]:
    """Split a text where the tokenizer truncates it to its context length.

    Returns:
        See `itr_core.encoders.limits.split_text`.
    """
    return split_text(text, lambda part: _fits(tokenizer, part))


def _fits(tokenizer: Any, text: str) -> bool:
    """Return whether a context twice as long would add only padding."""
    length = tokenizer.context_length
    padding = tokenizer([""], length)[0, -1]
    return bool((tokenizer([text], 2 * length)[0, length:] == padding).all())
