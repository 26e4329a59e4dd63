"""Embeddings that are shipped with a starter model, so that its demo gallery is built without encoding."""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from itr_core.encoders.encoder import Encoder, Floats
from itr_core.encoders.model_specs import STARTERS
from itr_core.errors import ModelError

if TYPE_CHECKING:
    from itr_core.pairs import PairSet

FILE = "embeddings.safetensors"


class StarterEmbeddings:
    """Embeddings of known images and texts, looked up by a 64-bit hash of their content.

    The hash covers all pixels of an image, or all bytes of a text: an image that differs in one pixel is
    unknown. The file stores float16, so cosines differ from those of the model by about 1e-4.

    Args:
        images: key of an image -> its embedding, (d,) float32 of unit norm.
        texts: key of a text -> its embedding, likewise.
    """

    def __init__(self, images: Mapping[int, Floats], texts: Mapping[int, Floats]) -> None:
        self._images = images
        self._texts = texts

    @classmethod
    def empty(cls) -> "StarterEmbeddings":
        """Know no image and no text."""
        return cls({}, {})

    @classmethod
    def of(cls, encoder: Encoder) -> "StarterEmbeddings":
        """Open the embeddings that are shipped with a model.

        They are empty if the model is no starter, or if its weights are not those that computed them.
        """
        scheme, _, method = encoder.spec.partition(":")
        path = STARTERS / method / FILE
        if scheme != "starter" or not path.is_file():
            return cls.empty()
        with safe_open(path, "np") as file:
            same_weights = file.metadata()["model_sha256"] == encoder.fingerprint
        return cls.read(path) if same_weights else cls.empty()

    @classmethod
    def read(cls, path: Path) -> "StarterEmbeddings":
        """Read a file that `write_embeddings` wrote."""
        arrays = load_file(path)
        return cls(*(_by_key(arrays[f"{name}_keys"], arrays[name]) for name in ("images", "texts")))

    def __len__(self) -> int:
        """Number of known images."""
        return len(self._images)

    def image(self, image: Image.Image) -> Floats | None:
        """Return the embedding of an image, (d,) float32 of unit norm; None if it is unknown."""
        return self._images.get(_image_key(image)) if self._images else None

    def text(self, text: str) -> Floats | None:
        """Return the embedding of a text, (d,) float32 of unit norm; None if it is unknown."""
        return self._texts.get(_key(text.encode())) if self._texts else None


def write_embeddings(encoder: Encoder, pairs: "PairSet", folder: Path) -> None:
    """Encode all images and captions of a source and write them to the folder of a starter model.

    Args:
        encoder: a starter model.
        pairs: n images with their captions; all images must be decodable.
        folder: where `embeddings.safetensors` is written.

    Raises:
        ModelError: The encoder is no starter model.
        ImageError: An image cannot be decoded.
    """
    if not encoder.spec.startswith("starter:"):
        raise ModelError(f"{encoder.spec} is no starter model; only these are shipped with embeddings.")
    images = [pairs.image(row) for row in range(len(pairs))]
    texts = list(dict.fromkeys(pairs.flat_captions()[0]))
    arrays: dict[str, np.ndarray] = {
        "images": encoder.encode_images(images).astype(np.float16),
        "images_keys": np.array([_image_key(image) for image in images], np.uint64),
        "texts": encoder.encode_texts(texts).astype(np.float16),
        "texts_keys": np.array([_key(text.encode()) for text in texts], np.uint64),
    }
    save_file(arrays, folder / FILE, metadata={"model_sha256": encoder.fingerprint})


def _by_key(keys: np.ndarray, vectors: np.ndarray) -> dict[int, Floats]:
    vectors = vectors.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return dict(zip(keys.tolist(), vectors, strict=True))


def _image_key(image: Image.Image) -> int:
    return _key(f"{image.mode} {image.size}".encode() + image.tobytes())


def _key(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
