"""Images of a source by row number: decoded on demand, decoded once, or as features of a frozen trunk."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from open_clip.utils import to_2tuple
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from itr_core.encoders import image_tower
from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import ImageError, ModelError, PairscopeError, SourceError, did_you_mean
from itr_core.features.row_cache import Chunk, cached_rows, missing_bytes
from itr_core.pairs import PairSet
from itr_core.pairs.layouts.arrays import read_array
from itr_core.system.files import cache_dir
from itr_core.system.workers import load_in_order

CHUNK, BATCH = 64, 256
SOURCE_KEY = "source_sha256"
"""Metadata key of a .safetensors file of rows: the fingerprint of the source that they were computed from."""


class ImageRows(Protocol):
    """Images by row number, as the trainer reads them: uint8 pixels (3, H, W) or float32 features (f,)."""

    unusable: dict[int, str]
    """Row number -> reason, for the unusable rows that have been found so far."""

    @property
    def are_pixels(self) -> bool:
        """Whether the values are pixels; otherwise they are features."""
        ...

    def read(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Read rows by number.

        Returns:
            The values (b, ...) of the usable rows, and the numbers of these rows (b,).
        """
        ...


class DecodedImages(Dataset[Chunk]):
    """Pixels as `DualEncoder.prepare` returns them, decoded at every access.

    As a dataset it maps the number of a first row to the chunk of rows that starts there.
    """

    are_pixels = True

    def __init__(self, pairs: PairSet, encoder: DualEncoder) -> None:
        self.pairs = pairs
        self.unusable: dict[int, str] = {}
        visual: Any = encoder.model.visual
        self._prepare = encoder.prepare
        self.shape = (3, *to_2tuple(visual.image_size))  # image_size is an int in open_clip's own ResNets

    def read(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """See `ImageRows.read`; rows that cannot be decoded are added to `unusable`."""
        pixels = torch.empty(len(rows), *self.shape, dtype=torch.uint8)
        decoded: list[int] = []
        for row in rows.tolist():
            try:
                pixels[len(decoded)] = torch.from_numpy(self._prepare(self.pairs.image(row)))
                decoded.append(row)
            except ImageError as error:
                self.unusable[row] = str(error)
        return pixels[: len(decoded)], np.array(decoded, np.int64)

    def __getitem__(self, start: int) -> Chunk:
        """Return the chunk of rows that starts at `start`; images that cannot be decoded are black."""
        rows = np.arange(start, min(start + CHUNK, len(self.pairs)))
        pixels, decoded = self.read(rows)
        chunk = np.zeros((len(rows), *self.shape), np.uint8)
        chunk[decoded - start] = pixels.numpy()
        return chunk, {row: self.unusable[row] for row in rows.tolist() if row in self.unusable}

    def chunks(self, start: int, workers: int) -> Iterable[Chunk]:
        """Yield all chunks from row `start` on, in order, decoded by `workers` processes (0: this one)."""
        starts = range(start, len(self.pairs), CHUNK)
        return load_in_order(self, starts, processes=workers)


class StoredImages:
    """Pixels (n, 3, H, W) uint8 or features (n, f) or (n, R, f), in memory or mapped from disk."""

    def __init__(self, values: np.ndarray, unusable: dict[int, str]) -> None:
        self.values = values
        self.unusable = unusable
        self.are_pixels = values.dtype == np.uint8

    def read(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """See `ImageRows.read`; returns all requested rows, the unusable ones too.

        Raises:
            SourceError: features are not finite.
        """
        values = np.array(self.values[rows], np.uint8 if self.are_pixels else np.float32)
        if not self.are_pixels and not (finite := np.isfinite(values).reshape(len(values), -1).all(1)).all():
            raise SourceError(
                f"The features of row {rows[~finite][0]} (counted from 0) are not all finite numbers. "
                "Compute the features again."
            )
        return torch.from_numpy(values), rows


def cached_pixels(pairs: PairSet, encoder: DualEncoder, *, workers: int, progress: bool) -> StoredImages:
    """Decode (or render) every image once and cache the pixels (n, 3, H, W) uint8 on disk.

    Args:
        pairs: n images.
        encoder: its preprocessing is applied.
        workers: processes that decode; 0 decodes in this process.
        progress: show a progress bar.

    Raises:
        PairscopeError: The cache cannot be written, or has no room for the pixels.
    """
    images = DecodedImages(pairs, encoder)
    folder = cache_dir("pixels") / _key(pairs, encoder)
    need, free = missing_bytes(folder, len(pairs), images.shape), shutil.disk_usage(folder.parent).free
    if need > free:
        raise PairscopeError(
            f"The pixels of {pairs.source} need {need / 1e9:,.1f} GB more in {folder.parent}, where "
            f"{free / 1e9:,.1f} GB are free. Decode the images in every epoch (--no-cache-images), or let "
            "PAIRSCOPE_CACHE name a folder on a larger disk."
        )
    title = f"Preparing the images of {pairs.source}"
    rows = cached_rows(
        folder, len(pairs), lambda start: images.chunks(start, workers), title=title, progress=progress
    )
    return StoredImages(rows.values, rows.unusable)


def cached_features(pairs: PairSet, encoder: DualEncoder, *, workers: int, progress: bool) -> StoredImages:
    """Run every image once through the frozen trunk and cache its features (n, f) float32 on disk.

    Args:
        pairs: n images.
        encoder: its preprocessing and the trunk of its image tower are applied.
        workers: processes that decode; 0 decodes in this process.
        progress: show a progress bar.

    Raises:
        ModelError: The image tower cannot be split (see `itr_core.encoders.image_tower.trunk`).
        PairscopeError: The cache cannot be written.
    """
    images = DecodedImages(pairs, encoder)

    def make(start: int) -> Iterator[Chunk]:
        for pixels, unusable in images.chunks(start, workers):
            yield encoder.image_features(pixels, batch_size=CHUNK), unusable

    folder = cache_dir("features") / _key(pairs, encoder, trunk_state(encoder))
    title = f"Encoding the images of {pairs.source}"
    rows = cached_rows(folder, len(pairs), make, title=title, progress=progress)
    return StoredImages(rows.values, rows.unusable)


def features_from_file(spec: str, pairs: PairSet, of: str = "images") -> StoredImages:
    """Read features from a .safetensors or .npy file.

    Args:
        spec: `FILE.npy`, an array (n, f), or (n, R, f) of R regions; or `FILE.safetensors:KEY`. The latter
            contains floats (n, f) under KEY, or quantised features: uint8 (n, f) under KEY_q and factors (f,)
            under KEY_scale.
        pairs: the source whose rows they are.
        of: what the n rows describe: 'images' or 'captions'.

    Raises:
        SourceError: The file cannot be read, does not contain KEY, does not have n rows, or says
            (`SOURCE_KEY`) that its rows are of another source or in another order.
    """
    n = len(pairs) if of == "images" else sum(map(len, pairs.captions))
    if spec.endswith(".npy"):
        return StoredImages(_checked(read_array(Path(spec)), spec, n, of), {})
    path, _, key = spec.rpartition(":")
    try:
        with safe_open(path, "np") as file:
            source = (file.metadata() or {}).get(SOURCE_KEY)
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SourceError(
            f"Cannot read the features {spec!r} ({error}); write FILE.safetensors:KEY or FILE.npy."
        ) from error
    if source not in (None, pairs.fingerprint):
        raise SourceError(
            f"{path} has rows of the source {source[:12]}, but {pairs.source} is {pairs.fingerprint[:12]}: "
            f"other {of}, or the same in another order. Compute the rows again for this source."
        )
    if f"{key}_q" in arrays and f"{key}_scale" in arrays:
        values = arrays[f"{key}_q"] * arrays[f"{key}_scale"]
    elif key in arrays:
        values = arrays[key]
    else:
        keys = {name.removesuffix("_q").removesuffix("_scale") for name in arrays}
        raise SourceError(f"{path} has no features {key!r}.{did_you_mean(key, keys)}")
    return StoredImages(_checked(values, spec, n, of).astype(np.float32), {})


def features_of_source(pairs: PairSet) -> StoredImages:
    """Return the features that a source has in the place of images.

    Raises:
        SourceError: the source has none.
    """
    if pairs.image_features is None:
        raise SourceError(f"{pairs.source} has images, no features; use the features 'cache' or a file.")
    return StoredImages(pairs.image_features, {})


def images_of_source(pairs: PairSet, encoder: DualEncoder) -> "DecodedImages | StoredImages":
    """Return the images of a source, decoded at every access, or the features in their place."""
    if pairs.image_features is None:
        return DecodedImages(pairs, encoder)
    check_width(encoder, pairs.image_features.shape, pairs.source)
    return features_of_source(pairs)


def check_width(encoder: DualEncoder, shape: tuple[int, ...], name: str) -> None:
    """Check that the projection of the image tower takes features of this shape.

    Raises:
        ModelError: it does not, or the tower has no separate projection.
    """
    width = image_tower.head_width(encoder.model.visual)
    if width is None or shape[-1] != width:
        takes = "no features" if width is None else f"features of {width} numbers"
        raise ModelError(
            f"{name} has image features of {shape[-1]} numbers, but {encoder.spec} takes {takes}. Choose a "
            "model for them, such as features-2048/none, or features of this model."
        )


def _checked(values: np.ndarray, spec: str, n: int, of: str) -> np.ndarray:
    if values.ndim not in (2, 3) or len(values) != n or (of == "captions" and values.ndim == 3):
        raise SourceError(
            f"{spec} has shape {values.shape}; the source has {n} {of}, and each needs one row."
        )
    return values


def trunk_state(encoder: DualEncoder) -> dict[str, Tensor]:
    """Return the weights and buffers of the image tower before its last projection, by name."""
    visual: Any = encoder.model.visual
    state = visual.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if not image_tower.is_head(name)}


@torch.inference_mode()
def encode_rows(encoder: DualEncoder, images: ImageRows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embed rows of images; sets the encoder to evaluation mode.

    Returns:
        Unit vectors (b, d) float32 of the usable rows, and the numbers of these rows (b,).
    """
    encoder.eval()
    model: Any = encoder.model
    embeddings, usable = [], []
    for part in np.split(rows, range(BATCH, len(rows), BATCH)):
        values, read = images.read(part)
        x = values.to(encoder.device)
        x = (
            model.encode_image(encoder.normalise(x / 255))
            if images.are_pixels
            else encoder.project(x.to(encoder.dtype))
        )
        embeddings.append(nn.functional.normalize(x.float(), dim=-1).cpu().numpy())
        usable.append(read)
    return encoder.heads.extend_images(np.concatenate(embeddings)), np.concatenate(usable)


@torch.inference_mode()
def encode_rows_with_patches(
    encoder: DualEncoder, images: ImageRows, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Embed rows of images with their patch tokens; sets the encoder to evaluation mode.

    Returns:
        Unit vectors (b, d) float32 of the usable rows, the numbers of these rows (b,), and their patch
            tokens, or those of regions, (b, P, d); None if the images are features without either.
    """
    encoder.eval()
    visual: Any = encoder.model.visual
    embeddings, usable, patches = [], [], []
    for part in np.split(rows, range(BATCH, len(rows), BATCH)):
        values, read = images.read(part)
        x = values.to(encoder.device)
        if images.are_pixels:
            pooled, tokens = image_tower.with_tokens(visual, encoder.normalise(x / 255))
        else:
            x = x.to(encoder.dtype)
            pooled, tokens = encoder.project(x), image_tower.head(visual, x)
        embeddings.append(nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy())
        patches.append(nn.functional.normalize(tokens.float(), dim=-1).cpu().numpy())
        usable.append(read)
    found = np.concatenate(patches)
    extended = encoder.heads.extend_images(np.concatenate(embeddings))
    return extended, np.concatenate(usable), found if found.ndim == 3 else None


def embed_source(encoder: DualEncoder, pairs: PairSet, images: ImageRows) -> tuple[np.ndarray, np.ndarray]:
    """Embed all images and, for each image, the mean of its captions.

    Returns:
        Image embeddings and mean caption embeddings, both (n, d) float32 of unit norm; zero for an image that
        cannot be decoded or has no captions.
    """
    vectors, rows = encode_rows(encoder, images, np.arange(len(pairs)))
    image = np.zeros((len(pairs), encoder.dim), np.float32)
    image[rows] = vectors
    texts, image_of_caption = pairs.flat_captions()
    text = np.zeros_like(image)
    np.add.at(text, image_of_caption, encoder.encode_texts(texts))
    return image, text / np.maximum(np.linalg.norm(text, axis=1, keepdims=True), 1e-12)


def _key(pairs: PairSet, encoder: DualEncoder, weights: dict[str, Tensor] | None = None) -> str:
    """Return the name of a cache: a hash of source, preprocessing and, for features, the trunk's weights."""
    visual: Any = encoder.model.visual
    settings = visual.preprocess_cfg
    digest = hashlib.sha256(f"{pairs.fingerprint} {json.dumps(settings, sort_keys=True)}".encode())
    for name, value in sorted((weights or {}).items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
