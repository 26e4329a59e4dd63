"""Models of transformers with two towers, run as the encoder runs models of open_clip.

CLIP (TinyCLIP and many others have its layout), SigLIP (and SigLIP 2 of fixed resolution), SigLIP 2 of any
aspect ratio (NaFlex), MetaCLIP 2 and AltCLIP, in a folder that save_pretrained wrote or on the hub. Weights
are safetensors, tokenizers `tokenizer.json`; custom code of a repository is never run.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from open_clip.tokenizer import canonicalize_text
from torch import Tensor, nn
from torch.nn import functional as F

from itr_core.encoders.foreign_json import read_json
from itr_core.encoders.image_processor import normalisation, preprocessing, read_image_processor
from itr_core.encoders.loading import LoadedModel
from itr_core.encoders.model_files import ModelFiles, read_weights, require_weights
from itr_core.encoders.naflex import NaflexEncoder
from itr_core.encoders.tokenizer_files import TOKENIZER_CONFIG, TOKENIZER_FILES, stage_tokenizer
from itr_core.encoders.transformers_config import CONFIG, read_dual_tower
from itr_core.errors import ModelError

CLASSES = {
    "clip": ("CLIPConfig", "CLIPModel"),
    "siglip": ("SiglipConfig", "SiglipModel"),
    "siglip2": ("Siglip2Config", "Siglip2Model"),
    "metaclip_2": ("MetaClip2Config", "MetaClip2Model"),
    "altclip": ("AltCLIPConfig", "AltCLIPModel"),
}
SIGLIP = ("siglip", "siglip2")


class TransformersModel(nn.Module):
    """A model of transformers with the methods of open_clip's models.

    Args:
        network: a model with `get_image_features` and `get_text_features`.
        preprocess: open_clip's preprocessing settings.
        max_num_patches: largest number of patches of an image; 0 if all images have one size.
    """

    def __init__(self, network: Any, preprocess: dict[str, Any], max_num_patches: int = 0) -> None:
        super().__init__()
        self.network = network
        self.model_type: str = network.config.model_type
        self.max_num_patches = max_num_patches
        self.head: nn.Module = nn.Identity()
        """Applied to the embeddings of both towers; models of sentence-transformers can have one."""
        network.vision_model.preprocess_cfg = preprocess

    @property
    def visual(self) -> Any:
        """The image tower."""
        return self.network.vision_model

    @property
    def logit_scale(self) -> Tensor:
        """Logarithm of the inverse temperature."""
        scale: Tensor = self.network.logit_scale
        return scale

    def encode_image(self, pixels: Any, normalize: bool = False) -> Tensor:
        """Map pixels (B, 3, H, W), or the inputs of `NaflexEncoder`, to embeddings (B, d)."""
        inputs = pixels if isinstance(pixels, dict) else {"pixel_values": pixels}
        return self._embedding(self.network.get_image_features(**inputs), normalize)

    def encode_text(self, ids: Tensor, normalize: bool = False) -> Tensor:
        """Map token ids (B, L) to embeddings (B, d).

        Padding has no effect on the towers except those of SigLIP, which were trained with it, so it is cut.
        """
        text, mask = self.network.config.text_config, None
        if self.model_type == "altclip":
            mask = (ids != text.pad_token_id).long()
            length = int(mask.sum(1).max())
            ids, mask = ids[:, :length], mask[:, :length]
        elif self.model_type not in SIGLIP:  # causal, and pools the first end token
            highest = text.eos_token_id == 2 and self.model_type == "clip"  # as transformers does
            ends = (ids if highest else (ids == text.eos_token_id).int()).argmax(1)
            ids = ids[:, : int(ends.max()) + 1]
        return self._embedding(self.network.get_text_features(input_ids=ids, attention_mask=mask), normalize)

    def _embedding(self, output: Any, normalize: bool) -> Tensor:
        features = self.head(output if isinstance(output, Tensor) else output.pooler_output)
        return F.normalize(features, dim=-1) if normalize else features


class PaddingTokenizer:
    """A tokenizer of transformers that pads and truncates every text to one length, as open_clip's do.

    Args:
        tokenizer: a tokenizer of transformers.
        context_length: number of token ids per text.
        clean: applied to every text before.
        prompt: precedes every text.
    """

    def __init__(
        self, tokenizer: Any, context_length: int, clean: Callable[[str], str], prompt: str = ""
    ) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.clean = clean
        self.prompt = prompt

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> Tensor:
        """Map N strings to token ids (N, context_length)."""
        encoded = self.tokenizer(
            [self.clean(self.prompt + text) for text in texts],
            padding="max_length",
            truncation=True,
            max_length=context_length or self.context_length,
            return_tensors="pt",
        )
        ids: Tensor = encoded["input_ids"]
        return ids


def open_transformers(files: ModelFiles) -> LoadedModel:
    """Load a model in float32 on the CPU.

    Raises:
        ModelError: A file is missing, damaged, or asks for what is not accepted.
    """
    config_file = files.file(CONFIG)
    config = read_dual_tower(config_file, tuple(CLASSES))
    config_class, model_class = (getattr(transformers, name) for name in CLASSES[config["model_type"]])
    settings = config_class(**{key: value for key, value in config.items() if key != "model_type"})
    preprocess, patches = _preprocessing(files, settings)
    weights = files.weights()
    with torch.device("meta"):
        described = sum(weight.numel() for weight in model_class(settings).parameters())
    require_weights(described, weights, config_file)
    dim = getattr(settings, "projection_dim", None) or settings.text_config.projection_size
    model = TransformersModel(_network(model_class, settings, weights), preprocess, patches)
    identity = {"model_cfg": {"embed_dim": dim, **config}, "preprocess_cfg": preprocess, "patches": patches}
    tokenizer, encoder_type = _tokenizer(files, settings), NaflexEncoder if patches else None
    return LoadedModel(model, tokenizer, identity, frozenset(), f"transformers:{files}", encoder_type)


def _preprocessing(files: ModelFiles, settings: Any) -> tuple[dict[str, Any], int]:
    """Return the preprocessing settings of open_clip, and the largest number of patches (0: one size)."""
    kind, vision = settings.model_type, settings.vision_config
    if kind != "siglip2":
        return preprocessing(files, kind, vision.image_size) | {"size": vision.image_size}, 0
    image, path = read_image_processor(files)
    side = image.patch_size or 16
    if side != vision.patch_size:
        raise ModelError(f"{path}: patches of {side} pixels, but the tower takes {vision.patch_size}.")
    # The size is not used: the whole image is kept, whatever its shape.
    return normalisation(image, kind) | {"resize_mode": "squash", "size": side}, image.max_num_patches


def _network(model_class: Any, settings: Any, files: list[Path]) -> Any:
    transformers.utils.logging.disable_progress_bar()
    network, report = model_class.from_pretrained(
        None, config=settings, state_dict=read_weights(files), dtype=torch.float32, output_loading_info=True
    )
    lost = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if lost:  # transformers leaves them random
        raise ModelError(f"{len(lost)} weights are missing or do not fit {CONFIG}, such as {lost[0]}.")
    return network.eval()


def _tokenizer(files: ModelFiles, settings: Any) -> PaddingTokenizer:
    found = {name: path for name in TOKENIZER_FILES if (path := files.find(name)) is not None}
    with tempfile.TemporaryDirectory(prefix="pairscope-tokenizer-") as folder:
        stage_tokenizer(found, Path(folder))
        inner = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    text = settings.text_config
    # Positions of RoBERTa, AltCLIP's text tower, start after the id of the padding.
    reserved = text.pad_token_id + 1 if settings.model_type == "altclip" else 0
    named = read_json(found[TOKENIZER_CONFIG]).get("tokenizer_class") if TOKENIZER_CONFIG in found else None
    clean: Callable[[str], str] = str
    if settings.model_type in SIGLIP:  # trained on lower case, the first one without punctuation
        clean = canonicalize_text if str(named).startswith("SiglipTokenizer") else str.lower
    length = min(inner.model_max_length, text.max_position_embeddings - reserved)
    return PaddingTokenizer(inner, length, clean)
