"""Where a run's images come from: decoded when asked for, decoded once, or as features of a frozen trunk."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from open_clip.utils import to_2tuple
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from itr_core.encoders import image_tower
from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import ImageError, SourceError, did_you_mean
from itr_core.features.row_cache import Chunk, cached_rows
from itr_core.pairs import PairSet
from itr_core.system.files import cache_dir

CHUNK, BATCH = 64, 256


class ImageRows(Protocol):
    """Images by row number, as the trainer reads them: uint8 pixels (3, H, W) or float32 features (f,)."""

    unusable: dict[int, str]
    """Row -> reason, as far as is known by now."""

    def read(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Return the values (b, ...) of those rows that are usable, and which rows these are (b,)."""
        ...


class DecodedImages(Dataset):
    """Pixels as `encoder.prepare` makes them, decoded at every reading."""

    def __init__(self, pairs: PairSet, encoder: DualEncoder) -> None:
        self.pairs = pairs
        self.unusable: dict[int, str] = {}
        visual: Any = encoder.model.visual
        self._prepare = encoder.prepare
        self._shape = (3, *to_2tuple(visual.image_size))  # an int in open_clip's own ResNets

    def read(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        pixels = torch.empty(len(rows), *self._shape, dtype=torch.uint8)
        good: list[int] = []
        for row in rows.tolist():
            try:
                pixels[len(good)] = torch.from_numpy(self._prepare(self.pairs.image(row)))
                good.append(row)
            except ImageError as error:
                self.unusable[row] = str(error)
        return pixels[: len(good)], np.array(good, np.int64)

    def __getitem__(self, start: int) -> Chunk:
        """Return the chunk of rows that begins at `start`; what cannot be decoded is black."""
        rows = np.arange(start, min(start + CHUNK, len(self.pairs)))
        pixels, good = self.read(rows)
        chunk = np.zeros((len(rows), *self._shape), np.uint8)
        chunk[good - start] = pixels.numpy()
        return chunk, {row: self.unusable[row] for row in rows.tolist() if row in self.unusable}

    def chunks(self, start: int, workers: int) -> Iterable[Chunk]:
        """All chunks from row `start` on, in order, decoded in `workers` processes."""
        starts = range(start, len(self.pairs), CHUNK)
        return DataLoader(
            self, sampler=starts, batch_size=None, collate_fn=identity_collate, num_workers=workers
        )


class StoredImages:
    """Pixels or features (n, ...) that lie ready, in memory or mapped from disk."""

    def __init__(self, values: np.ndarray, unusable: dict[int, str]) -> None:
        self.values = values
        self.unusable = unusable

    def read(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        return torch.from_numpy(np.asarray(self.values[rows])), rows


def cached_pixels(pairs: PairSet, encoder: DualEncoder, *, workers: int, progress: bool) -> StoredImages:
    """Decode (or draw) every image once and keep the pixels (n, 3, H, W) uint8 on disk."""
    images = DecodedImages(pairs, encoder)
    folder = cache_dir("pixels") / _key(pairs, encoder)
    title = f"Preparing the images of {pairs.source}"
    rows = cached_rows(
        folder, len(pairs), lambda start: images.chunks(start, workers), title=title, progress=progress
    )
    return StoredImages(rows.values, rows.unusable)


def cached_features(pairs: PairSet, encoder: DualEncoder, *, workers: int, progress: bool) -> StoredImages:
    """Run every image once through the frozen trunk and keep its features (n, f) float32 on disk.

    Raises ModelError where the image tower cannot be split (see `itr_core.encoders.image_tower.trunk`).
    """
    images = DecodedImages(pairs, encoder)
    visual: Any = encoder.model.visual

    def make(start: int) -> Iterator[Chunk]:
        for pixels, unusable in images.chunks(start, workers):
            with torch.inference_mode():
                batch = encoder.normalise(torch.from_numpy(pixels).to(encoder.device) / 255)
                yield image_tower.trunk(visual, batch).float().cpu().numpy(), unusable

    folder = cache_dir("features") / _key(pairs, encoder, trunk_state(encoder))
    title = f"Encoding the images of {pairs.source}"
    rows = cached_rows(folder, len(pairs), make, title=title, progress=progress)
    return StoredImages(rows.values, rows.unusable)


def features_from_file(spec: str, n: int, of: str = "images") -> StoredImages:
    """Read `FILE.safetensors:KEY`, float features (n, f), or uint8 `KEY_q` (n, f) times `KEY_scale` (f,).

    Raises SourceError when the file cannot be read, has no such key or another number of rows than `n`.
    """
    path, _, key = spec.rpartition(":")
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SourceError(
            f"Cannot read the features {spec!r} ({error}); write FILE.safetensors:KEY."
        ) from error
    if f"{key}_q" in arrays and f"{key}_scale" in arrays:
        values = arrays[f"{key}_q"] * arrays[f"{key}_scale"]
    elif key in arrays:
        values = arrays[key]
    else:
        keys = {name.removesuffix("_q").removesuffix("_scale") for name in arrays}
        raise SourceError(f"{path} has no features {key!r}.{did_you_mean(key, keys)}")
    if values.ndim != 2 or len(values) != n:
        raise SourceError(
            f"{spec} has shape {values.shape}; the source has {n} {of}, one row each is needed."
        )
    return StoredImages(values.astype(np.float32), {})


def trunk_state(encoder: DualEncoder) -> dict[str, Tensor]:
    """The weights and buffers of the image tower in front of its last projection, by name."""
    visual: Any = encoder.model.visual
    state = visual.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if not image_tower.is_head(name)}


@torch.inference_mode()
def encode_rows(encoder: DualEncoder, images: ImageRows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embed rows of images: unit vectors (n, d) float32 of those that are usable, and these rows (n,)."""
    encoder.eval()
    model: Any = encoder.model
    embeddings, kept = [], []
    for part in np.split(rows, range(BATCH, len(rows), BATCH)):
        values, good = images.read(part)
        x = values.to(encoder.device)
        is_pixels = x.dtype == torch.uint8
        x = model.encode_image(encoder.normalise(x / 255)) if is_pixels else encoder.project(x)
        embeddings.append(nn.functional.normalize(x.float(), dim=-1).cpu().numpy())
        kept.append(good)
    return np.concatenate(embeddings), np.concatenate(kept)


def _key(pairs: PairSet, encoder: DualEncoder, weights: dict[str, Tensor] | None = None) -> str:
    visual: Any = encoder.model.visual
    settings = visual.preprocess_cfg
    digest = hashlib.sha256(f"{pairs.fingerprint} {json.dumps(settings, sort_keys=True)}".encode())
    for name, value in sorted((weights or {}).items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def identity_collate(item: Any) -> Any:
    """Collate nothing: a loader's item already is a batch."""
    return item


def embed_source(encoder: DualEncoder, pairs: PairSet, images: ImageRows) -> tuple[np.ndarray, np.ndarray]:
    """Embed images and, of each, the mean caption: unit rows (n, d) twice, zero where there is none."""
    vectors, rows = encode_rows(encoder, images, np.arange(len(pairs)))
    image = np.zeros((len(pairs), encoder.dim), np.float32)
    image[rows] = vectors
    texts, image_of_caption = pairs.flat_captions()
    text = np.zeros_like(image)
    np.add.at(text, image_of_caption, encoder.encode_texts(texts))
    return image, text / np.maximum(np.linalg.norm(text, axis=1, keepdims=True), 1e-12)
