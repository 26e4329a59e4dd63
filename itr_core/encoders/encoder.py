"""The `Encoder` protocol: what galleries, search and analysis need of a model."""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Encoder(Protocol):
    """Maps images and texts into one embedding space of `dim` dimensions.

    `itr_core.encoders.DualEncoder` implements it for every open_clip model. Training needs more than this
    protocol and takes a `DualEncoder`.

    Several threads may call the methods of one encoder. It encodes one batch at a time, and holds no lock
    while it reads the next images.
    """

    @property
    def spec(self) -> str:
        """Model spec, as `itr_core.load_encoder` takes it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest that is different for every configuration and every set of weights."""
        ...

    @property
    def dim(self) -> int:
        """Number of dimensions d of the embedding space."""
        ...

    @property
    def resize_mode(self) -> str:
        """How `prepare` fits an image into the square input: 'shortest', 'longest' or 'squash'."""
        ...

    def prepare(self, image: Image.Image) -> Pixels:
        """Resize and crop a PIL image of any mode and size to the model's input, (3, H, W) uint8."""
        ...

    @overload
    def encode_images(
        self, images: Iterable[Image.Image | Pixels], *, tokens: Literal[False] = ...
    ) -> Floats: ...
    @overload
    def encode_images(
        self, images: Iterable[Image.Image | Pixels], *, tokens: Literal[True]
    ) -> tuple[Floats, Floats]: ...
    def encode_images(
        self, images: Iterable[Image.Image | Pixels], *, tokens: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Encode PIL images, or pixels that `prepare` returned, to (N, d) unit vectors.

        With `tokens=True` also return the patch tokens, (N, P, d) unit vectors in reading order.
        """
        ...

    @overload
    def encode_texts(self, texts: Sequence[str], *, tokens: Literal[False] = ...) -> Floats: ...
    @overload
    def encode_texts(
        self, texts: Sequence[str], *, tokens: Literal[True]
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]: ...
    def encode_texts(
        self, texts: Sequence[str], *, tokens: bool = False
    ) -> Floats | tuple[Floats, Floats, NDArray[np.bool_]]:
        """Encode texts to (N, d) unit vectors.

        With `tokens=True` also return the word tokens, (N, L, d) unit vectors, and their mask (N, L).
        """
        ...

    def split_at_context(self, text: str) -> tuple[str, str]:
        """Split a text into the words that fit the model's context length and the truncated rest."""
        ...

    def unseen_words(self, text: str) -> list[str]:
        """Return the words of a text that occur in no training caption; [] if these are not known."""
        ...
