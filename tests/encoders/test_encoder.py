"""The `Encoder` protocol: galleries, search and evaluation work with any class that implements it."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from itr_core import Gallery, PairSet, Searcher, evaluate, load_pairs
from itr_core.encoders import Encoder
from itr_core.errors import ModelError

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}


class MeanColour:
    """Encodes an image as its mean colour, and a text as the sum of the colours that it names."""

    spec = "mean-colour"
    fingerprint = "0" * 64
    dim = 3
    resize_mode = "squash"
    lock: AbstractContextManager[object] = Lock()

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """Shrink the image to 2 x 2 pixels."""
        return np.asarray(image.convert("RGB").resize((2, 2))).transpose(2, 0, 1)

    def encode_images(
        self, images: Iterable[Image.Image | NDArray[np.uint8]], *, tokens: bool = False
    ) -> Any:  # the overloads of the protocol return other types with tokens
        """Average the pixels."""
        if tokens:
            raise ModelError("mean-colour has no patch tokens.")
        pixels = [image if isinstance(image, np.ndarray) else self.prepare(image) for image in images]
        return unit([each.mean((1, 2)) for each in pixels])

    def encode_texts(self, texts: Sequence[str], *, tokens: bool = False) -> Any:
        """Add the colours named in each text."""
        words = [[COLOURS[word] for word in text.split() if word in COLOURS] for text in texts]
        return unit([np.sum(each, axis=0) for each in words])

    def split_at_context(self, text: str) -> tuple[str, str]:
        """Read texts of any length."""
        return text, ""

    def unseen_words(self, text: str) -> list[str]:
        """Return the words that name no colour."""
        return [word for word in text.split() if word not in COLOURS]


def unit(vectors: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    rows = np.array(vectors, np.float32).reshape(-1, 3)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def pairs(tmp_path: Path) -> PairSet:
    folder = tmp_path / "images"
    folder.mkdir()
    with (folder / "metadata.jsonl").open("w") as out:
        for name, colour in COLOURS.items():
            Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
            out.write(json.dumps({"file_name": f"{name}.png", "captions": [f"a {name} square"]}) + "\n")
    return load_pairs(f"folder:{folder}")


def test_a_gallery_of_another_encoder_is_built_and_searched(pairs: PairSet, tmp_path: Path) -> None:
    encoder: Encoder = MeanColour()
    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery")
    assert (gallery.manifest.model, gallery.manifest.dim) == ("mean-colour", 3)
    searcher = Searcher(gallery, encoder)
    assert [searcher.search_text(colour, k=1)[0].item_id for colour in COLOURS] == [
        f"{colour}.png" for colour in COLOURS
    ]
    assert searcher.search_image(Image.new("RGB", (9, 9), "navy"), k=1)[0].caption == "a blue square"


def test_another_encoder_is_evaluated_on_images_but_not_on_features(pairs: PairSet) -> None:
    encoder: Encoder = MeanColour()
    assert evaluate(encoder, pairs)["t2i_r1"] == 100
    with pytest.raises(ModelError, match="mean-colour cannot project image features"):
        evaluate(encoder, pairs, np.zeros((3, 5), np.float32))
    with pytest.raises(ModelError, match="no patch tokens"):
        evaluate(encoder, pairs, rerank=0.5)
