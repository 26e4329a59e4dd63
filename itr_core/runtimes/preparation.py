"""Images and texts to the inputs of the towers, as open_clip prepares them, without torch."""

import html
import string
from collections.abc import Sequence
from pathlib import Path

import ftfy
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Encoding, Tokenizer

from itr_core.encoders.encoder import Pixels
from itr_core.encoders.limits import limit_aspect_ratio, split_text
from itr_core.runtimes.manifest import Export


def resized(image: Image.Image, export: Export) -> Pixels:
    """Resize and crop an image of any mode and size, to (3, H, W) uint8."""
    height, width = export.size
    resample = Image.Resampling.BICUBIC if export.interpolation == "bicubic" else Image.Resampling.BILINEAR
    if export.resize_mode == "squash":
        image = image.resize((width, height), resample)
    else:
        image = limit_aspect_ratio(image)
        short = min(image.size)
        image = image.resize((int(width * image.width / short), int(width * image.height / short)), resample)
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


class TextIds:
    """Maps texts to token ids by a `tokenizer.json`, as open_clip's tokenizer of the model does."""

    def __init__(self, file: Path, export: Export) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.export = export

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Map N texts to ids (N, L); L is the longest text's length, or the context length."""
        length = self.export.context_length
        rows = [self._truncated(each.ids, length) for each in self._encode(texts)]
        width = max(map(len, rows), default=1) if self.export.any_length else length
        ids = np.full((len(rows), width), self.export.pad_id, np.int64)
        for row, values in zip(ids, rows, strict=True):
            row[: len(values)] = values
        return ids

    def split_at_context(self, text: str) -> tuple[str, str]:
        """See `Encoder.split_at_context`."""
        return split_text(text, self._fits)

    def _fits(self, text: str) -> bool:
        return len(self._encode([text])[0].ids) <= self.export.context_length

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch([clean(text, self.export.clean) for text in texts])

    @staticmethod
    def _truncated(ids: list[int], length: int) -> list[int]:
        return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def clean(text: str, kind: str) -> str:
    """Clean a text as open_clip does: 'whitespace', 'lower' or 'canonicalize'."""
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    if kind == "canonicalize":
        text = text.replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    text = " ".join(text.split())
    return text if kind == "whitespace" else text.lower()
