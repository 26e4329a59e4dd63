"""Embeddings that come with a starter model, so that its own gallery appears before it could be encoded."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from itr_core.encoders.loading import STARTERS
from itr_core.errors import ModelError

if TYPE_CHECKING:
    from itr_core.encoders.dual_encoder import DualEncoder
    from itr_core.pairs import PairSet

FILE = "embeddings.safetensors"


def with_starter_embeddings(encoder: "DualEncoder") -> "DualEncoder | StarterEmbeddings":
    """Return `encoder`, or for a starter that comes with embeddings one that looks there first."""
    scheme, _, method = encoder.spec.partition(":")
    path = STARTERS / method / FILE
    if scheme != "starter" or not path.is_file():
        return encoder
    with safe_open(path, "np") as file:
        belongs = file.metadata()["model_sha256"] == encoder.fingerprint
    return StarterEmbeddings(encoder, path) if belongs else encoder


class StarterEmbeddings:
    """Encodes like `encoder`, but looks up exactly those pictures and texts that it has met before.

    They are found by their content, a hash of all pixels or letters: a picture that another version draws
    otherwise is simply encoded. Embeddings are kept as float16, so cosines differ by some 1e-4.
    """

    def __init__(self, encoder: "DualEncoder", path: Path) -> None:
        self.encoder = encoder
        self.spec, self.fingerprint, self.dim = encoder.spec, encoder.fingerprint, encoder.dim
        arrays = load_file(path)
        self._vectors = {name: _unit(arrays[name]) for name in ("images", "texts")}
        self._rows = {name: dict(zip(arrays[f"{name}_keys"].tolist(), range(len(arrays[name])), strict=True))
                      for name in self._vectors}  # fmt: skip

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Return the row (1,) of a picture met before, else its pixels as `DualEncoder.prepare` does."""
        row = self._rows["images"].get(_picture_key(image))
        return self.encoder.prepare(image) if row is None else np.array([row])

    def encode_images(self, prepared: Iterable[np.ndarray]) -> np.ndarray:
        """What `prepare` returned, for n pictures -> unit vectors (n, d) float32."""
        known = list(prepared)
        rows = [int(each[0]) if each.ndim == 1 else None for each in known]
        return self._filled("images", rows, lambda new: self.encoder.encode_images(known[i] for i in new))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """n texts -> unit vectors (n, d) float32."""
        rows = [self._rows["texts"].get(_key(text.encode())) for text in texts]
        return self._filled("texts", rows, lambda new: self.encoder.encode_texts([texts[i] for i in new]))

    def _filled(self, name: str, rows: list[int | None], encode: Any) -> np.ndarray:
        new = [index for index, row in enumerate(rows) if row is None]
        vectors = self._vectors[name][[row or 0 for row in rows]]
        if new:
            vectors[new] = encode(new)
        return vectors


def write(encoder: "DualEncoder", pairs: "PairSet", folder: Path) -> None:
    """Keep the embeddings of all images and captions of `pairs` in the folder of the starter `encoder`."""
    if not encoder.spec.startswith("starter:"):
        raise ModelError(f"{encoder.spec} is no starter model; only these come with embeddings.")
    images = [pairs.image(row) for row in range(len(pairs))]
    texts = list(dict.fromkeys(pairs.flat_captions()[0]))
    arrays: dict[str, np.ndarray] = {
        "images": encoder.encode_images(images).astype(np.float16),
        "images_keys": np.array([_picture_key(image) for image in images], np.uint64),
        "texts": encoder.encode_texts(texts).astype(np.float16),
        "texts_keys": np.array([_key(text.encode()) for text in texts], np.uint64),
    }
    save_file(arrays, folder / FILE, metadata={"model_sha256": encoder.fingerprint})


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _picture_key(image: Image.Image) -> int:
    return _key(f"{image.mode} {image.size}".encode() + image.tobytes())


def _key(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
