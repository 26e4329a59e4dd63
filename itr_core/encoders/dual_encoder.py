"""The dual encoder: any open_clip model as two encode functions and as one module to train."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar, Literal, Self, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from timm.utils import reparameterize_model
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from itr_core.batch import EncoderOutput
from itr_core.encoders import image_tower, limits
from itr_core.encoders.arrays import concatenate, unit
from itr_core.encoders.device import pick_device
from itr_core.encoders.encoder import Floats, Pixels
from itr_core.encoders.fingerprint import fingerprint_of
from itr_core.encoders.heads import Heads
from itr_core.encoders.loading import LoadedModel, open_model
from itr_core.encoders.model_specs import split_language
from itr_core.encoders.preprocessing import split_transform
from itr_core.encoders.streams import map_batches
from itr_core.encoders.text_tower import TextTower
from itr_core.encoders.tokenizer import set_language, special_ids, split_at_context
from itr_core.errors import ModelError
from itr_core.vocabulary import unseen_words

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_encoder(
    spec: str,
    *,
    device: str | None = None,
    dtype: str = "float32",
    tokenizer: Any = None,
    image_weights: Path | None = None,
    pixel_norm: str = "clip",
    resize: str = "shortest",
    seed: int = 0,
    heads: bool = True,
) -> "DualEncoder":
    """Load the model that a spec names, ready to encode.

    Args:
        spec: one of the forms that `itr_core.encoders.loading` lists, such as 'starter:infonce'.
        device: 'cpu', 'cuda', 'cuda:N' or 'mps'; 'auto' or None selects the best that is available.
        dtype: 'float32', 'bfloat16' or 'float16', the type that the towers compute in. Embeddings are always
            returned as float32.
        tokenizer: from `itr_core.encoders.tokenizer.train`; replaces the tokenizer of the architecture. This
            and the following options apply to NAME/none only.
        image_weights: a .safetensors file with weights of the image tower (for a timm tower: of its trunk).
        pixel_norm: normalisation of pixels that `image_weights` were trained with: 'clip', 'imagenet', or
            'inception' for [-1, 1].
        resize: 'shortest' resizes the shorter side and crops the centre; 'squash' resizes to a square.
        seed: random seed of all weights that are not loaded.
        heads: also load what a checkpoint adds to retrieval; False for its two towers alone.

    Returns:
        The encoder in evaluation mode.

    Raises:
        ModelError: The spec, an option or the device cannot be used, or the weights cannot be loaded.
    """
    if dtype not in _DTYPES:
        raise ModelError(f"No dtype {dtype!r}; one of {', '.join(_DTYPES)}.")
    target = pick_device(device)
    name, language = split_language(spec)
    loaded = open_model(
        name,
        tokenizer=tokenizer,
        image_weights=image_weights,
        pixel_norm=pixel_norm,
        resize=resize,
        seed=seed,
    )
    loaded = loaded if heads else replace(loaded, heads=Heads())
    name = loaded.spec or name
    if language:
        set_language(loaded.tokenizer, language)
        name = f"{name}#{language}"
    encoder: DualEncoder = (loaded.encoder_type or DualEncoder)(name, loaded)
    if dtype != "float32":
        _ = encoder.fingerprint  # computed before the weights are rounded: it does not depend on dtype
    return encoder.to(target, _DTYPES[dtype])


class DualEncoder(nn.Module):
    """Image and text tower of a model, mapping into one space of `dim` dimensions.

    `encode_images` and `encode_texts` take PIL images and strings and return unit vectors as NumPy arrays;
    tokens have `token_dim` dimensions, fewer than embeddings that heads extend (`itr_core.encoders.heads`).
    The module itself takes tensors, returns an `EncoderOutput`, and can be trained. It implements
    `itr_core.encoders.Encoder`.
    """

    lock: ClassVar[AbstractContextManager[object]] = RLock()
    """Held by the methods that encode or tokenise, for one batch at a time: several threads may call them.

    Tokenizers are not thread-safe, and one tower uses all cores, so encoding two queries at a time is slower
    than one after the other. All encoders of a process share the lock, because they share the cores.
    """

    def __init__(self, spec: str, loaded: LoadedModel) -> None:
        super().__init__()
        self.spec = spec
        self.model: Any = loaded.model
        self.tokenizer = loaded.tokenizer
        self.config = loaded.config
        self.words = loaded.words
        self.heads = loaded.heads
        settings = PreprocessCfg(**self.model.visual.preprocess_cfg)
        self.resize_mode: str = settings.resize_mode
        self.preprocess = image_transform_v2(settings, is_train=False)
        self._transform_steps = split_transform(self.preprocess)
        self.layout = image_tower.memory_layout(self.model.visual)
        self.model.visual.to(memory_format=self.layout)
        self.token_dim: int = loaded.config["model_cfg"]["embed_dim"]
        self.dim = self.heads.extended_dim(self.token_dim)
        self.context_length: int = loaded.tokenizer.context_length
        self.text_tower = TextTower(loaded.model, *special_ids(loaded.tokenizer))
        self.eval()
        self._all_modules = tuple(self.modules())  # a traversal takes as long as encoding a short query

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.model.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """Data type that the towers compute in."""
        return self.model.logit_scale.dtype

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 over the configuration, the weights and used heads at the first access."""
        return fingerprint_of(self.config, self.model.state_dict(), self.heads)

    def fuse(self) -> Self:
        """Merge the parallel branches of the image tower for faster encoding, where it has such (MobileCLIP).

        Embeddings stay the same up to rounding; the fingerprint does not change. The model can no longer be
        trained or saved.

        Returns:
            This encoder.
        """
        _ = self.fingerprint  # computed before the weights are merged
        if trunk := getattr(self.model.visual, "trunk", None):
            reparameterize_model(trunk, inplace=True)
            self.model.visual.to(memory_format=self.layout)
            self._all_modules = tuple(self.modules())
        return self

    # Images and strings to unit vectors

    @overload
    def encode_images(
        self, images: Iterable[Image.Image | Pixels], *, batch_size: int = ..., tokens: Literal[False] = ...
    ) -> Floats: ...
    @overload
    def encode_images(
        self, images: Iterable[Image.Image | Pixels], *, batch_size: int = ..., tokens: Literal[True]
    ) -> tuple[Floats, Floats]: ...
    def encode_images(
        self, images: Iterable[Image.Image | Pixels], *, batch_size: int = 16, tokens: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Encode images to unit vectors.

        Args:
            images: N PIL images of any mode and size, or pixels that `prepare` returned.
            batch_size: images per forward pass.
            tokens: also return the patch tokens.

        Returns:
            Embeddings (N, dim) float32 of unit norm. With `tokens` also the P patch tokens of each image,
            (N, P, token_dim) float32 of unit norm, in reading order.

        Raises:
            ModelError: `tokens` is set and the image tower has no patch tokens.
        """
        forward = (
            partial(image_tower.with_tokens, self.model.visual)
            if tokens
            else partial(self.model.encode_image, normalize=False)
        )
        with self._encoding():
            outputs = map_batches(forward, self._pixel_batches(images, batch_size), self.lock)
            pooled = [unit(each[0] if tokens else each) for each in outputs]
            embeddings = self.heads.extend_images(concatenate(pooled, (0, self.token_dim)))
            patches = [unit(each[1]) for each in outputs] if tokens else []
        return (embeddings, concatenate(patches, (0, 0, self.token_dim))) if tokens else embeddings

    @overload
    def encode_texts(
        self, texts: Sequence[str], *, batch_size: int = ..., tokens: Literal[False] = ...
    ) -> Floats: ...
    @overload
    def encode_texts(
        self, texts: Sequence[str], *, batch_size: int = ..., tokens: Literal[True]
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]: ...
    def encode_texts(
        self, texts: Sequence[str], *, batch_size: int = 256, tokens: bool = False
    ) -> Floats | tuple[Floats, Floats, NDArray[np.bool_]]:
        """Encode texts to unit vectors; longer texts are truncated (see `split_at_context`).

        Args:
            texts: N strings.
            batch_size: texts per forward pass.
            tokens: also return the word tokens.

        Returns:
            Embeddings (N, dim) float32 of unit norm. With `tokens` also the word tokens, one per sub-word,
            (N, L, token_dim) float32 of unit norm, where L is the length of the longest text, and their mask
            (N, L), True at sub-words and False at start, end and padding. Tokens outside the mask are zero.

        Raises:
            TypeError: `texts` is one string instead of a sequence of strings.
            ModelError: `tokens` is set and the text tower has no word tokens.
        """
        if isinstance(texts, str):
            raise TypeError("encode_texts takes a list of texts, not one text")
        # Batches of similar length need the least padding.
        order = np.argsort([len(text) for text in texts], kind="stable")
        batches = [order[start : start + batch_size] for start in range(0, len(texts), batch_size)]
        emb = np.empty((len(texts), self.token_dim), np.float32)
        tower = self.text_tower.with_tokens if tokens else self.text_tower

        def ids(rows: NDArray[np.intp]) -> Tensor:
            return self.tokenizer([texts[row] for row in rows]).to(self.device)

        with self._encoding():
            outputs = map_batches(tower, (self._alone(ids, rows) for rows in batches), self.lock)
            if not tokens:
                for rows, pooled in zip(batches, outputs, strict=True):
                    emb[rows] = unit(pooled)
                return self.heads.extend_texts(emb, texts)
            longest = max((mask.shape[1] for *_, mask in outputs), default=0)
            words = np.zeros((len(texts), longest, self.token_dim), np.float32)
            masks = np.zeros((len(texts), longest), np.bool_)
            for rows, (pooled, vectors, mask) in zip(batches, outputs, strict=True):
                length = mask.shape[1]
                emb[rows] = unit(pooled)
                words[rows, :length] = unit(vectors * mask[..., None])
                masks[rows, :length] = mask.cpu().numpy()
        return self.heads.extend_texts(emb, texts), words, masks

    def image_features(self, images: Iterable[Image.Image | Pixels], *, batch_size: int = 16) -> Floats:
        """Compute the input of the image tower's last projection, for training on a frozen trunk.

        Args:
            images: N PIL images of any mode and size, or pixels that `prepare` returned.
            batch_size: images per forward pass.

        Returns:
            (N, f) float32; `project` maps them to embeddings. (0, 0) without images.

        Raises:
            ModelError: The image tower cannot be split before its last projection.
        """
        trunk = partial(image_tower.trunk, self.model.visual)
        with self._encoding():
            batches = self._pixel_batches(images, batch_size)
            features = [self._alone(trunk, pixels).float().cpu().numpy() for pixels in batches]
        return concatenate(features, (0, 0))

    # Preprocessing of images

    def prepare(self, image: Image.Image) -> Pixels:
        """Resize and crop a PIL image as the model requires, before `normalise`.

        `encode_images` also accepts the result, so that other processes can prepare images.

        Returns:
            (3, H, W) uint8.
        """
        if self.resize_mode == "shortest":
            image = limits.limit_aspect_ratio(image)
        return pil_to_tensor(self._transform_steps.resize(image)).numpy()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalise pixels (B, 3, H, W) in [0, 1] with the image tower's mean and standard deviation."""
        return self._transform_steps.normalise(pixels)

    # Tensors to embeddings, with gradients

    def forward(
        self,
        image: Tensor | None = None,
        text: Tensor | None = None,
        image_features: Tensor | None = None,
        tokens: bool = False,
    ) -> EncoderOutput:
        """Encode a training batch; no output is normalised.

        Args:
            image: pixels (B, 3, H, W), normalised as by `normalise`. Give either `image` or `image_features`.
            text: token ids (B', L), required.
            image_features: cached features (B, f), as `image_features()` computes them, or features of
                regions (B, R, f).
            tokens: also return word tokens and, if `image` is given, patch tokens, or those of regions.

        Raises:
            ValueError: `text` is missing, or not exactly one of `image` and `image_features` is given.
            ModelError: `tokens` is set and a tower has none.
        """
        if text is None or (image is None) == (image_features is None):
            raise ValueError("give text and exactly one of image and image_features")
        patches = None
        if image is None:
            features = cast(Tensor, image_features)
            pooled = self.project(features)
            if tokens and features.ndim == 3:
                patches = image_tower.head(self.model.visual, features)
        elif tokens:
            pooled, patches = image_tower.with_tokens(self.model.visual, image)
        else:
            pooled = self.model.encode_image(image, normalize=False)
        scale, bias = self.model.logit_scale.exp().squeeze(), getattr(self.model, "logit_bias", None)
        if bias is not None:
            bias = bias.squeeze()
        if not tokens:
            return EncoderOutput(pooled, self.embed_text(text), scale, logit_bias=bias)
        sentence, words, mask = self.embed_text_tokens(text)
        return EncoderOutput(pooled, sentence, scale, patches, words, mask, logit_bias=bias)

    def project(self, features: Tensor) -> Tensor:
        """Map cached image features (N, f) to embeddings (N, d), not normalised, with gradients.

        Features of regions (N, R, f) are averaged first, like the positions of a convolutional tower.
        """
        return image_tower.head(self.model.visual, features.mean(1) if features.ndim == 3 else features)

    def embed_text(self, ids: Tensor) -> Tensor:
        """Map token ids (B, L) to embeddings (B, d), not normalised, with gradients.

        The text tower runs at the actual length of the texts instead of the full context length.
        """
        return self.text_tower(ids)

    def embed_text_tokens(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map token ids (B, L) to embeddings (B, d), word tokens (B, l, d), l <= L, and their mask (B, l)."""
        return self.text_tower.with_tokens(ids)

    # Words of a query that the model cannot use

    def split_at_context(self, text: str) -> tuple[str, str]:
        """Split a text into the words that fit the model's context length and the truncated rest.

        Returns:
            `(kept, lost)` with `kept + lost == text`.
        """
        return self._alone(partial(split_at_context, self.tokenizer), text)

    def unseen_words(self, text: str) -> list[str]:
        """Return the words of a text that occur in no training caption, in order and without repetition.

        The list is empty if the model does not list the words of its training captions.
        """
        return unseen_words(text, self.words)

    def _alone(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call a function of the model or of the tokenizer while no other thread does."""
        with self.lock:
            return function(argument)

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        """Disable gradients and set evaluation mode; afterwards restore the mode of every module."""
        training = [module for module in self._all_modules if module.training]
        for module in training:
            module.training = False
        try:
            with torch.inference_mode():
                yield
        finally:
            for module in training:
                module.training = True

    def _pixel_batches(self, images: Iterable[Image.Image | Pixels], size: int) -> Iterator[Any]:
        remaining = iter(images)
        # Each image is resized as soon as it is read: a batch of large photos would take gigabytes.
        while batch := [
            image if isinstance(image, np.ndarray) else self.prepare(image)
            for image in islice(remaining, size)
        ]:
            pixels = torch.from_numpy(np.stack(batch)).to(self.device)
            yield self.normalise(pixels / 255).to(self.dtype, memory_format=self.layout)
