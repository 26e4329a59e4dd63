"""A dual encoder: any open_clip model as two functions into one space, and as one module to train."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor

from itr_core.batch import EncoderOutput
from itr_core.encoders import image_tower
from itr_core.encoders.loading import LoadedModel, open_model
from itr_core.encoders.preprocessing import centre_of_strip
from itr_core.encoders.text_tower import TextTower
from itr_core.encoders.tokenizer import cut, special_ids
from itr_core.errors import ModelError
from itr_core.vocabulary import words_of

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
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
) -> "DualEncoder":
    """Load the model that `spec` names (see `itr_core.encoders.loading`), ready to encode.

    `device` is 'auto' (also None), 'cpu', 'cuda[:n]' or 'mps'; `dtype` is what the towers compute in,
    outputs are float32 whatever it is. For NAME/none only: `tokenizer` (from `itr_core.encoders.tokenizer.train`)
    takes the place of the architecture's own, `image_weights` is a safetensors file for the image tower
    (for timm towers: its trunk), `pixel_norm` ('clip', 'imagenet', or 'inception' for [-1, 1]) and `resize`
    ('shortest' and a centre crop, or 'squash' to a square) are what those weights know, and `seed` draws the
    other weights. Raises `ModelError`.
    """
    if dtype not in _DTYPES:
        raise ModelError(f"No dtype {dtype!r}; one of {', '.join(_DTYPES)}.")
    target = _pick_device(device)
    parts = open_model(
        spec,
        tokenizer=tokenizer,
        image_weights=image_weights,
        pixel_norm=pixel_norm,
        resize=resize,
        seed=seed,
    )
    encoder = DualEncoder(spec, parts)
    if dtype != "float32":
        _ = encoder.fingerprint  # of the weights, not of their rounding
    return encoder.to(target, _DTYPES[dtype])


class DualEncoder(nn.Module):
    """Two towers (always an open_clip model) that map images and texts into one space of `dim` dimensions.

    `encode_images` and `encode_texts` take what people have and give unit vectors as numpy arrays; the module
    itself takes tensors, gives an `EncoderOutput`, and can be trained.
    """

    def __init__(self, spec: str, parts: LoadedModel) -> None:
        super().__init__()
        self.spec = spec
        self.model: Any = parts.model
        self.tokenizer = parts.tokenizer
        self.config = parts.config
        self.words = parts.words
        pixels = PreprocessCfg(**self.model.visual.preprocess_cfg)
        self.preprocess = image_transform_v2(pixels, is_train=False)
        self._crop_strips = pixels.resize_mode == "shortest"
        convolutional = sum(isinstance(module, nn.Conv2d) for module in self.model.visual.modules()) > 1
        self.layout = torch.channels_last if convolutional else torch.contiguous_format
        self.model.visual.to(memory_format=self.layout)  # MobileNetV2 learns 1.6 times as fast on a CPU
        self.dim: int = parts.config["model_cfg"]["embed_dim"]
        self.context_length: int = parts.tokenizer.context_length
        self._text = TextTower(parts.model, *special_ids(parts.tokenizer))
        self.eval()
        self._modules_once = tuple(self.modules())  # walking the tree takes as long as encoding a short query

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """What the towers compute in."""
        return self.model.logit_scale.dtype

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the configuration and the weights, as they were when first asked for."""
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    # what people have -> unit vectors

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
        """PIL images of any mode and size (or what `prepare` made of them) -> (N, d) float32 of unit norm.

        With `tokens` also the patches, (N, P, d) of unit norm, in reading order; `ModelError` where the tower
        has none.
        """
        with self._encoding():
            batches = self._pixel_batches(images, batch_size)
            if not tokens:
                return _stack(
                    [_unit(self.model.encode_image(pixels, normalize=False)) for pixels in batches],
                    (0, self.dim),
                )
            both = [image_tower.with_tokens(self.model.visual, pixels) for pixels in batches]
            pooled = _stack([_unit(image) for image, _ in both], (0, self.dim))
            return pooled, _stack([_unit(patches) for _, patches in both], (0, 0, self.dim))

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
        """Texts -> (N, d) float32 of unit norm; what is longer than the context is cut (see `cut`).

        With `tokens` also the sub-word positions, (N, L, d) of unit norm with L that of the longest text,
        and the mask (N, L) of those that are words: neither start, end nor padding. Rows outside the mask
        are zero.
        """
        if isinstance(texts, str):
            raise TypeError("encode_texts takes a list of texts, not one text")
        # Texts of like length pad each other least.
        order = np.argsort([len(text) for text in texts], kind="stable")
        batches = [order[start : start + batch_size] for start in range(0, len(texts), batch_size)]
        emb = np.empty((len(texts), self.dim), np.float32)
        with self._encoding():
            ids = (self.tokenizer([texts[row] for row in rows]).to(self.device) for rows in batches)
            if not tokens:
                for rows, part in zip(batches, ids, strict=True):
                    emb[rows] = _unit(self._text(part))
                return emb
            parts = [self._text.with_tokens(part) for part in ids]
            longest = max((mask.shape[1] for *_, mask in parts), default=0)
            words = np.zeros((len(texts), longest, self.dim), np.float32)
            masks = np.zeros((len(texts), longest), np.bool_)
            for rows, (pooled, vectors, mask) in zip(batches, parts, strict=True):
                length = mask.shape[1]
                emb[rows] = _unit(pooled)
                words[rows, :length] = _unit(vectors * mask[..., None])
                masks[rows, :length] = mask.cpu().numpy()
        return emb, words, masks

    def image_features(self, images: Iterable[Image.Image | Pixels], *, batch_size: int = 16) -> Floats:
        """PIL images -> (N, f) float32, what enters the image tower's last projection (see `project`).

        Compute it once for a frozen trunk and train on it. `ModelError` where the tower cannot be split.
        """
        with self._encoding():
            parts = [
                image_tower.trunk(self.model.visual, pixels).float().cpu().numpy()
                for pixels in self._pixel_batches(images, batch_size)
            ]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    # what an image becomes on its way to the tower

    def prepare(self, image: Image.Image) -> Pixels:
        """PIL image -> (3, H, W) uint8: the model's own preprocessing up to, not including, `normalise`.

        `encode_images` also takes what this returns, so that other processes can do the work.
        """
        small: Any = centre_of_strip(image) if self._crop_strips else image
        for step in self.preprocess.transforms[:-2]:  # resize, crop, RGB; the last two make floats
            small = step(small)
        return pil_to_tensor(small).numpy()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [0, 1] -> with the mean and deviation that the image tower expects."""
        return self.preprocess.transforms[-1](pixels)

    # tensors, with gradients

    def forward(
        self,
        image: Tensor | None = None,
        text: Tensor | None = None,
        image_features: Tensor | None = None,
        tokens: bool = False,
    ) -> EncoderOutput:
        """Token ids (B, L) with pixels (B, 3, H, W) or cached features (B, f) -> embeddings, with gradients.

        With `tokens` also word tokens and, from pixels, patch tokens; nothing is normalised.
        """
        if text is None or (image is None) == (image_features is None):
            raise ValueError("give text and exactly one of image and image_features")
        patches = None
        if image is None:
            pooled = self.project(cast(Tensor, image_features))
        elif tokens:
            pooled, patches = image_tower.with_tokens(self.model.visual, image)
        else:
            pooled = self.model.encode_image(image, normalize=False)
        scale = self.model.logit_scale.exp().squeeze()
        if not tokens:
            return EncoderOutput(pooled, self.embed_text(text), scale)
        sentence, words, mask = self.embed_text_tokens(text)
        return EncoderOutput(pooled, sentence, scale, patches, words, mask)

    def project(self, features: Tensor) -> Tensor:
        """Cached image features (N, f) -> (N, d), not normalised; `encode_images` is this and unit length."""
        return image_tower.head(self.model.visual, features)

    def embed_text(self, ids: Tensor) -> Tensor:
        """Token ids (B, L) -> (B, d), not normalised, with gradients; run at the length the texts have."""
        return self._text(ids)

    def embed_text_tokens(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids (B, L) -> (B, d), word tokens (B, l, d) and their mask (B, l); as `embed_text`."""
        return self._text.with_tokens(ids)

    # what a query loses and what the model never met

    def cut(self, text: str) -> tuple[str, str]:
        """`(kept, lost)`, `kept + lost == text`: the words the model reads whole, and the rest."""
        return cut(self.tokenizer, text)

    def unseen_words(self, text: str) -> list[str]:
        """Words that the training captions never held, in order; [] where the model does not tell."""
        if not self.words:
            return []
        return [word for word in dict.fromkeys(words_of(text)) if word not in self.words]

    # inside

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        """No gradients and no batch statistics; a training in progress finds its modules as they were."""
        training = [module for module in self._modules_once if module.training]
        for module in training:
            module.training = False
        try:
            with torch.inference_mode():
                yield
        finally:
            for module in training:
                module.training = True

    def _pixel_batches(self, images: Iterable[Image.Image | Pixels], size: int) -> Iterator[Tensor]:
        remaining = iter(images)
        # One by one: a photo is let go as soon as it is small; a batch of large ones would take gigabytes.
        while batch := [
            image if isinstance(image, np.ndarray) else self.prepare(image)
            for image in islice(remaining, size)
        ]:
            pixels = torch.from_numpy(np.stack(batch)).to(self.device)
            yield self.normalise(pixels / 255).to(self.dtype, memory_format=self.layout)


def _unit(x: Tensor) -> Floats:
    return F.normalize(x.float(), dim=-1).cpu().numpy()


def _stack(parts: list[Floats], empty: tuple[int, ...]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(empty, np.float32)


def _pick_device(name: str | None) -> torch.device:
    if name in (None, "auto"):
        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(best)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"Device {name!r} cannot be used here ({error}); try 'auto' or 'cpu'.") from error
    return device
