"""An exported dual encoder: implements `itr_core.encoders.encoder.Encoder` without torch."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from PIL import Image

from itr_core.encoders.encoder import Encoder, Floats, Pixels
from itr_core.errors import ModelError
from itr_core.runtimes.preparation import TextIds, resized
from itr_core.runtimes.sessions import SUFFIXES, Session, open_session
from itr_core.runtimes.store import read_export, require_whole, usable_export
from itr_core.vocabulary import unseen_words


class ExportedEncoder:
    """The two towers of an export; each is loaded when it is first used.

    Args:
        folder: written by `itr_core.runtimes.export.export`.

    Raises:
        ModelError: A file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.export = read_export(folder)
        self.spec, self.dim = self.export.model, self.export.dim
        self.fingerprint, self.resize_mode = self.export.model_fingerprint, self.export.resize_mode
        self._lock = RLock()

    def prepare(self, image: Image.Image) -> Pixels:
        """See `Encoder.prepare`."""
        return resized(image, self.export)

    def encode_images(
        self, images: Iterable[Image.Image | Pixels], *, batch_size: int = 16, tokens: bool = False
    ) -> Any:
        """See `Encoder.encode_images`; there are no tokens."""
        self._refuse(tokens)
        remaining, found = iter(images), [np.zeros((0, self.dim), np.float32)]
        while batch := [
            image if isinstance(image, np.ndarray) else self.prepare(image)
            for image in islice(remaining, batch_size)
        ]:
            with self._lock:
                found.append(_unit(self._image(np.stack(batch))))
        return np.concatenate(found)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 64, tokens: bool = False) -> Any:
        """See `Encoder.encode_texts`; there are no tokens."""
        if isinstance(texts, str):
            raise TypeError("encode_texts takes a list of texts, not one text")
        self._refuse(tokens)
        order = np.argsort([len(text) for text in texts], kind="stable")  # similar lengths: least padding
        found = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            with self._lock:
                found[rows] = _unit(self._text(self._ids([texts[row] for row in rows])))
        return found

    def split_at_context(self, text: str) -> tuple[str, str]:
        """See `Encoder.split_at_context`."""
        with self._lock:
            return self._ids.split_at_context(text)

    def unseen_words(self, text: str) -> list[str]:
        """See `Encoder.unseen_words`."""
        return unseen_words(text, self._words)

    def _refuse(self, tokens: bool) -> None:
        if tokens:
            raise ModelError("Exported models give no tokens of words or patches; use --runtime torch.")

    @cached_property
    def _image(self) -> Session:
        return self._session("image")

    @cached_property
    def _text(self) -> Session:
        return self._session("text")

    @cached_property
    def _ids(self) -> TextIds:
        return TextIds(require_whole(self.folder, "tokenizer.json"), self.export)

    @cached_property
    def _words(self) -> frozenset[str]:
        path = require_whole(self.folder, "words.txt")
        return frozenset(path.read_text(encoding="utf-8").splitlines())

    def _session(self, tower: str) -> Session:
        export = self.export
        paths = [require_whole(self.folder, tower + suffix) for suffix in SUFFIXES[export.runtime]]
        return open_session(paths[0], export.runtime, export.precision)


def open_runtime(spec: str, runtime: str | None, device: str | None = None, *, heads: bool = True) -> Encoder:
    """Load a model in a runtime, ready to encode.

    Args:
        spec: the model.
        runtime: 'torch' (also None), 'onnx' or 'openvino'.
        device: of torch.
        heads: of `load_encoder`; models that retrieve with heads are not exported.

    Raises:
        ModelError: There is no export that may be used, see `itr_core.runtimes.store`.
    """
    if runtime is None or runtime == "torch":
        from itr_core.encoders.dual_encoder import load_encoder

        return load_encoder(spec, device=device, heads=heads).fuse()
    if device not in (None, "auto", "cpu"):
        raise ModelError(f"--device {device}: exported models run on the CPU; leave it out.")
    return ExportedEncoder(usable_export(spec, runtime))


def _unit(x: Floats) -> Floats:
    return (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)).astype(np.float32)
