"""A text encoder of transformers or sentence-transformers, as the text tower of an open_clip model."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from transformers import AutoConfig

from itr_core.encoders.foreign_json import Foreign, read_json, read_json_list, validate
from itr_core.encoders.model_files import ModelFiles
from itr_core.encoders.open_clip_config import ContextLength
from itr_core.encoders.sentence_model import MODULES, TRANSFORMER, Module
from itr_core.encoders.tokenizer_files import TOKENIZER_FILES
from itr_core.encoders.transformers_config import CONFIG, ENCODERS, TEXT_TOWER, read_text_tower
from itr_core.errors import ModelError

POOLERS = {"mean": "mean_pooler", "cls": "cls_last_hidden_state_pooler"}
"""open_clip's names of the kinds of pooling of sentence-transformers. Its pooling by maximum fails."""


class _Pooling(Foreign):
    model_config = ConfigDict(extra="ignore")

    pooling_mode: str | list[str] | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    def modes(self) -> list[str]:
        """Return the names of the kinds of pooling; older versions wrote a flag for each."""
        if self.pooling_mode is not None:
            return [self.pooling_mode] if isinstance(self.pooling_mode, str) else self.pooling_mode
        flags = [name for name in type(self).model_fields if name != "pooling_mode" and getattr(self, name)]
        return [
            name.removeprefix("pooling_mode_").removesuffix("_token").removesuffix("_tokens")
            for name in flags
        ]


class _Lengths(Foreign):
    model_config = ConfigDict(extra="ignore")

    max_seq_length: ContextLength | None = None
    do_lower_case: bool = False


class TextEncoder:
    """The files of a text encoder and what they say about its use.

    Args:
        source: a folder, or `ORG/REPO[@REVISION]` on the hub.

    Raises:
        ModelError: A file is missing or damaged, or the encoder cannot become a text tower.
    """

    def __init__(self, source: str) -> None:
        self.source = ModelFiles(source)
        self.files, self.pooler = self._parts()
        self.config_file = self.files.file(CONFIG)
        self.config = read_text_tower(self.config_file, ENCODERS)
        lengths = self.files.find(TRANSFORMER)
        self.lengths = _Lengths() if lengths is None else validate(_Lengths, read_json(lengths), lengths)
        self.tokenizer = {name: path for name in TOKENIZER_FILES if (path := self.files.find(name))}

    def _parts(self) -> tuple[ModelFiles, str]:
        """Return the files of the transformer, and open_clip's name of the pooling that follows it.

        Later modules of sentence-transformers are left out: the new projection takes their place.
        """
        path = self.source.find(MODULES)
        if path is None:
            return self.source, POOLERS["mean"]
        modules = [validate(Module, module, path) for module in read_json_list(path)]
        kinds = [module.kind for module in modules]
        if kinds[:2] != ["Transformer", "Pooling"]:
            raise ModelError(
                f"{path}: the modules are {', '.join(kinds) or 'none'}. A text tower needs a Transformer "
                "followed by Pooling; choose another sentence encoder."
            )
        pooling = self.source.inside(modules[1].path).file(CONFIG)
        modes = validate(_Pooling, read_json(pooling), pooling).modes()
        if len(modes) != 1 or modes[0] not in POOLERS:
            raise ModelError(
                f"{pooling}: pooling by {' and '.join(modes) or 'nothing'} cannot be used here; choose a "
                f"sentence encoder with {' or '.join(POOLERS)} pooling."
            )
        return self.source.inside(modules[0].path), POOLERS[modes[0]]

    @property
    def name(self) -> str:
        """What the configuration of a checkpoint calls it: the repository, or the file in the checkpoint."""
        found = str(self.source)
        return TEXT_TOWER if Path(found).expanduser().is_dir() else found.partition("@")[0]

    def settings(self) -> dict[str, Any]:
        """Return open_clip's settings of the text tower, without its projection."""
        config = AutoConfig.for_model(**self.config)
        # Positions of RoBERTa start after the id of the padding.
        reserved = 0 if config.model_type == "bert" else config.pad_token_id + 1
        length = config.max_position_embeddings - reserved
        lower = {"tokenizer_kwargs": {"clean": "lower"}} if self.lengths.do_lower_case else {}
        return {
            "hf_model_name": self.name,
            "hf_tokenizer_name": self.name,
            "hf_pooler_type": self.pooler,
            "context_length": min(length, self.lengths.max_seq_length or length),
            "vocab_size": config.vocab_size,
            **lower,
        }
