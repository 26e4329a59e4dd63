"""Frozen uni-modal teachers: embeddings of all images by one model and of all captions by another.

Image teachers:

    features                            the features that the run trains on; if it trains on pixels, those of
                                        the image tower's trunk before training
    timm:NAME                           an image model with timm's weights, from the hub
    timm:NAME@FILE.safetensors          an image model of timm with weights from a file

Text teachers:

    lsa                                 latent semantic analysis of the captions
    sentence-transformers:NAME          a sentence model from the hub or from a local folder
    plain-text:TEACHER                  another text teacher, which reads captions as `plain_text`

Image or text teachers:

    open_clip:SPEC                      any model spec of `load_encoder`
    precomputed:FILE.safetensors:KEY    rows computed before, for example by `save_teachers`

Every image or caption is encoded once and cached on disk. The name of a cache is a hash of teacher and
source, so the rows of another source, or of the same images in another order, are never used.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.limits import limit_aspect_ratio
from itr_core.encoders.towers import load_image_weights, require_image_model
from itr_core.errors import ImageError, ModelError, SourceError, did_you_mean, reason_of
from itr_core.features.image_rows import (
    SOURCE_KEY,
    ImageRows,
    StoredImages,
    cached_features,
    features_from_file,
)
from itr_core.features.row_cache import Chunk, cached_rows
from itr_core.pairs import PairSet
from itr_core.system.files import cache_dir, sha256, whole_file
from itr_core.system.imports import import_lock

IMAGE_TEACHER, TEXT_TEACHER = "features", "lsa"
_OWN = {"image": (IMAGE_TEACHER, "timm"), "text": (TEXT_TEACHER, "sentence-transformers")}
_BOTH = ("open_clip", "precomputed")
PLAIN_TEXT = "plain-text:"
PLAIN_TEXT_WORDS = 64
LSA_DIMS = 256
IMAGE_BATCH, TEXT_BATCH = 64, 512


@dataclass(frozen=True)
class Teacher:
    """A teacher of one source, not yet loaded."""

    identity: Sequence[str]
    """Everything except the source that the rows depend on; the first entry names the teacher."""
    rows: Callable[[int], Iterable[Chunk]]
    """Computes the rows from a given row number on. Loads the model when called, not before."""


def open_teachers(
    image_spec: str | None,
    text_spec: str | None,
    pairs: PairSet,
    images: ImageRows,
    encoder: DualEncoder,
    *,
    progress: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Embed all images and all captions of a source with two teachers, or read the embeddings from the cache.

    Args:
        image_spec: an image teacher, see the module's docstring; None is 'features'.
        text_spec: a text teacher; None is 'lsa'.
        pairs: n images with m captions in total.
        images: the images of `pairs` in the form that the run trains on.
        encoder: the model before training. If `images` are pixels, 'features' are those of its trunk.
        progress: show a progress bar.

    Returns:
        Image embeddings (n, t_i) and caption embeddings (m, t_t), image by image; float16 of unit norm,
        mapped from disk. Rows are zero for images that cannot be decoded and captions without known words.

    Raises:
        SourceError: The source has no captions, or precomputed rows do not match the source.
        ModelError: A teacher is unknown or cannot be loaded, or a package is missing.
    """
    texts, _ = pairs.flat_captions()
    if not texts:
        raise SourceError(f"{pairs.source} has no captions for a text teacher.")
    image = _image_teacher(image_spec or IMAGE_TEACHER, pairs, images, encoder, progress)
    text = _text_teacher(text_spec or TEXT_TEACHER, pairs, texts, encoder.device)
    return (
        _open(image, "images", len(pairs), pairs, progress),
        _open(text, "captions", len(texts), pairs, progress),
    )


def check_teachers(image_spec: str | None, text_spec: str | None) -> None:
    """Check the kinds of two teachers, their names, files and packages, without loading a model.

    Raises:
        ModelError: A kind or a model of timm is unknown, a file is missing, a folder has no weights, or a
            package is not installed.
    """
    text_spec = (text_spec or TEXT_TEACHER).removeprefix(PLAIN_TEXT)
    for modality, spec in (("image", image_spec or IMAGE_TEACHER), ("text", text_spec)):
        kind, _, rest = spec.partition(":")
        default, other = _OWN[modality]
        if not (spec == default or (rest and kind in (other, *_BOTH))):
            raise _unknown(modality, spec)
        if kind == "precomputed" and ":" not in rest:
            raise ModelError(f"The teacher {spec} names no KEY; write precomputed:FILE.safetensors:KEY.")
        file = {"timm": rest.partition("@")[2], "precomputed": rest.rpartition(":")[0]}.get(kind)
        if file and not Path(file).is_file():
            raise _no_file(file, spec, "no such file")
        if kind == "timm":
            require_image_model(rest.partition("@")[0])
        if kind == "sentence-transformers":
            if find_spec("sentence_transformers") is None:
                raise _no_package(spec)
            if Path(rest).is_dir() and not any(Path(rest).rglob("*.safetensors")):
                raise ModelError(
                    f"The folder {rest!r} of the teacher {spec} has no weights (*.safetensors). Copy or "
                    "download the whole model into it."
                )


def save_teachers(path: Path, pairs: PairSet, image: np.ndarray, text: np.ndarray) -> None:
    """Write the result of `open_teachers` to a file.

    The specs `precomputed:PATH:image` and `precomputed:PATH:text` read it.

    Args:
        path: a .safetensors file.
        pairs: the source; its fingerprint is stored and checked when the file is read.
        image: (n, t_i), one row per image.
        text: (m, t_t), one row per caption.
    """
    with whole_file(path) as part:
        save_file({"image": image, "text": text}, part, metadata={SOURCE_KEY: pairs.fingerprint})


def _open(teacher: Teacher, of: str, n: int, pairs: PairSet, progress: bool) -> np.ndarray:
    key = hashlib.sha256(json.dumps([pairs.fingerprint, of, *teacher.identity]).encode()).hexdigest()[:32]

    def make(start: int) -> Iterator[Chunk]:
        for values, unusable in teacher.rows(start):
            if not np.isfinite(values).all():
                name = teacher.identity[0]
                raise SourceError(f"The teacher {name} of {of} returns values that are not finite.")
            lengths = np.linalg.norm(values, axis=1, keepdims=True)
            yield (values / np.maximum(lengths, 1e-12)).astype(np.float16), unusable

    title = f"Encoding the {of} of {pairs.source} with the teacher {teacher.identity[0]}"
    return cached_rows(cache_dir("teachers") / key, n, make, title=title, progress=progress).values


def _image_teacher(
    spec: str, pairs: PairSet, images: ImageRows, encoder: DualEncoder, progress: bool
) -> Teacher:
    kind, _, rest = spec.partition(":")
    if spec == "features":
        return _features(pairs, images, encoder, progress)
    if kind == "timm":
        return _timm(rest, pairs, encoder.device)
    if kind == "open_clip":
        teacher = load_encoder(rest, device=str(encoder.device))
        return Teacher(
            ["open_clip", teacher.fingerprint], lambda start: _each_image(pairs, start, teacher.encode_images)
        )
    if kind == "precomputed":
        return _precomputed(rest, pairs, "images")
    raise _unknown("image", spec)


def plain_text(caption: str) -> str:
    """Return a caption in lower case without punctuation, its first 64 words; without any word, itself.

    The authors' code of CUSA prepares captions in this way for its text teacher (`dataset/utils.py`).

    >>> plain_text("Two DOGS run; a well-known beach (sunny).")
    'two dogs run a well known beach sunny'
    """
    text = re.sub(r"[,.'!?\"()*#:;~/-]", " ", caption.lower()).replace("<person>", "person")
    return " ".join(text.split()[:PLAIN_TEXT_WORDS]) or caption


def _text_teacher(spec: str, pairs: PairSet, texts: list[str], device: torch.device) -> Teacher:
    if spec.startswith(PLAIN_TEXT):
        plain = [plain_text(text) for text in texts]
        of_plain = _text_teacher(spec.removeprefix(PLAIN_TEXT), pairs, plain, device)
        return Teacher([*of_plain.identity, PLAIN_TEXT], of_plain.rows)
    kind, _, rest = spec.partition(":")
    if spec == "lsa":
        return Teacher(["lsa", str(LSA_DIMS)], lambda start: [(_lsa(texts)[start:], {})])
    if kind == "sentence-transformers":
        return _sentence_transformer(rest, texts, device)
    if kind == "open_clip":
        teacher = load_encoder(rest, device=str(device))
        return Teacher(
            ["open_clip", teacher.fingerprint], lambda start: _each_text(texts, start, teacher.encode_texts)
        )
    if kind == "precomputed":
        return _precomputed(rest, pairs, "captions")
    raise _unknown("text", spec)


def _features(pairs: PairSet, images: ImageRows, encoder: DualEncoder, progress: bool) -> Teacher:
    """Use the features of the run, centred: without, all cosines of non-negative features are high."""
    if not isinstance(images, StoredImages) or images.are_pixels:
        try:
            images = cached_features(pairs, encoder, workers=0, progress=progress)
        except ModelError as error:
            raise ModelError(
                f"The image teacher 'features' has no features to use ({error}) "
                "Choose another with --image-teacher, such as timm:NAME."
            ) from error
    features = images.values if images.values.ndim == 2 else images.values.mean(1)  # of regions
    usable = np.isin(np.arange(len(features)), list(images.unusable), invert=True)[:, None]

    def rows(start: int) -> Iterator[Chunk]:
        mean = features.mean(0, where=usable)
        for first in range(start, len(features), IMAGE_BATCH):
            batch = slice(first, first + IMAGE_BATCH)
            yield np.where(usable[batch], features[batch] - mean, 0), {}

    return Teacher(["features", hashlib.sha256(np.ascontiguousarray(features).data).hexdigest()], rows)


def _timm(rest: str, pairs: PairSet, device: torch.device) -> Teacher:
    name, _, file = rest.partition("@")

    def rows(start: int) -> Iterator[Chunk]:
        import timm

        with _loading("image", f"timm:{rest}", "without a network, use timm:NAME@FILE.safetensors"):
            model = timm.create_model(name, pretrained=not file, num_classes=0)
            if file:
                load_image_weights(model, Path(file), name)
        model.eval().to(device)
        settings = timm.data.resolve_model_data_config(model)
        transform = timm.data.create_transform(**settings, is_training=False)

        @torch.inference_mode()
        def embed(batch: list[Image.Image]) -> np.ndarray:
            pixels = torch.stack([transform(limit_aspect_ratio(image)) for image in batch])
            return model(pixels.to(device)).float().cpu().numpy()

        yield from _each_image(pairs, start, embed)

    return Teacher([f"timm:{name}", *([_sha256(file, f"timm:{rest}")] if file else [])], rows)


def _sentence_transformer(name: str, texts: list[str], device: torch.device) -> Teacher:
    spec = f"sentence-transformers:{name}"

    def rows(start: int) -> Iterator[Chunk]:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise _no_package(spec) from error
        with _loading("text", spec, "without a network, use the path of a local folder"):
            model = SentenceTransformer(name, device=str(device), model_kwargs={"use_safetensors": True})
        yield from _each_text(texts, start, lambda batch: model.encode(batch, show_progress_bar=False))

    files = sorted(path for path in Path(name).rglob("*") if path.is_file()) if Path(name).is_dir() else []
    return Teacher([spec, *map(sha256, files)], rows)


def _precomputed(rest: str, pairs: PairSet, of: str) -> Teacher:
    path, _, key = rest.rpartition(":")
    digest = _sha256(path, f"precomputed:{rest}")
    return Teacher(
        ["precomputed", digest, key],
        lambda start: [(features_from_file(rest, pairs, of).values[start:], {})],
    )


def _lsa(texts: list[str]) -> np.ndarray:
    """Reduce tf-idf vectors by truncated SVD (Deerwester et al. 1990): -> (m, at most LSA_DIMS)."""
    with import_lock:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        counts = TfidfVectorizer(dtype=np.float32).fit_transform(texts)
    except ValueError as error:
        raise SourceError(f"The captions contain no words for the text teacher 'lsa' ({error}).") from error
    return TruncatedSVD(min(LSA_DIMS, *counts.shape), random_state=0).fit_transform(counts)


def _each_image(
    pairs: PairSet, start: int, embed: Callable[[list[Image.Image]], np.ndarray]
) -> Iterator[Chunk]:
    """Embed the images from row `start` on; the rows of images that cannot be decoded are zero."""
    for first in range(start, len(pairs), IMAGE_BATCH):
        images: list[Image.Image] = []
        unusable: dict[int, str] = {}
        for row in range(first, min(first + IMAGE_BATCH, len(pairs))):
            try:
                images.append(pairs.image(row))
            except ImageError as error:
                images.append(Image.new("RGB", (64, 64)))
                unusable[row] = str(error)
        values = embed(images)
        values[[row - first for row in unusable]] = 0
        yield values, unusable


def _each_text(texts: list[str], start: int, embed: Callable[[list[str]], Any]) -> Iterator[Chunk]:
    for first in range(start, len(texts), TEXT_BATCH):
        yield embed(texts[first : first + TEXT_BATCH]), {}


def _sha256(file: str, spec: str) -> str:
    try:
        return sha256(Path(file))
    except OSError as error:
        raise _no_file(file, spec, str(error.strerror)) from error


def _no_file(file: str, spec: str, why: str) -> ModelError:
    return ModelError(
        f"Cannot read the file {file!r} of the teacher {spec} ({why}); write timm:NAME@FILE.safetensors or "
        "precomputed:FILE.safetensors:KEY."
    )


def _no_package(spec: str) -> ModelError:
    return ModelError(f"The text teacher {spec} needs a package: pip install 'pairscope[teachers]'.")


def _unknown(modality: str, spec: str) -> ModelError:
    nearest = did_you_mean(spec.partition(":")[0], (*_OWN[modality], *_BOTH))
    own = {
        "image": "features, timm:NAME, timm:NAME@FILE.safetensors",
        "text": "lsa, sentence-transformers:NAME, plain-text:TEACHER",
    }
    both = "open_clip:SPEC, precomputed:FILE.safetensors:KEY"
    return ModelError(f"There is no {modality} teacher {spec!r}; one of {own[modality]}, {both}.{nearest}")


@contextmanager
def _loading(modality: str, spec: str, remedy: str) -> Iterator[None]:
    """Convert any exception of the library that loads a teacher to a `ModelError`."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"Cannot load the {modality} teacher {spec}: {reason_of(error)} ({remedy})."
        ) from error
