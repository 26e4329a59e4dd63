"""Frozen uni-modal teachers: what one model makes of every image and another of every caption, on disk.

    of images   features                        the features that the run trains on; from pixels, those of the
                                                trunk of the model as it is before training
                timm:NAME                       an image model with timm's own weights, from the hub
                timm:NAME@FILE.safetensors      the same with weights of your own
    of texts    lsa                             latent semantic analysis of the captions themselves
                sentence-transformers:NAME      a sentence model of the hub, or the path of its folder
    of both     open_clip:SPEC                  any model spec of `load_encoder`
                precomputed:FILE.safetensors:KEY    rows made elsewhere (`save_teachers`, or any others)

Every image or caption goes through a teacher once. The cache is named by a hash of teacher and source, so the
rows of another source, or of the same in another order, are never met.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from safetensors.torch import load_file

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.preprocessing import centre_of_strip
from itr_core.errors import ImageError, ModelError, SourceError, did_you_mean
from itr_core.features.image_rows import ImageRows, StoredImages, cached_features, features_from_file
from itr_core.features.row_cache import Chunk, cached_rows
from itr_core.pairs import PairSet
from itr_core.system.files import cache_dir, sha256, whole_file

IMAGE_TEACHER, TEXT_TEACHER = "features", "lsa"
LSA_DIMS = 256
IMAGES, TEXTS = 64, 512  # at a time
SOURCE = "source_sha256"
"""Metadata entry of a file of precomputed rows: the fingerprint of the source that they were made of."""


@dataclass(frozen=True)
class Teacher:
    """A model that has yet to look at the rows of a source."""

    facts: Sequence[str]
    """What its rows depend on, beside the source."""
    rows: Callable[[int], Iterable[Chunk]]
    """Makes the rows from number `start` on; loads the model first, so that a cache can do without."""


def open_teachers(
    image_spec: str | None,
    text_spec: str | None,
    pairs: PairSet,
    images: ImageRows,
    encoder: DualEncoder,
    *,
    progress: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what two teachers make of a source, from the cache where they have seen it before.

    Args:
        image_spec: see above; None is 'features'.
        text_spec: see above; None is 'lsa'.
        pairs: n images, m captions.
        images: the same images as the run trains on them.
        encoder: as it is before training; 'features' of pixels are its trunk's.
        progress: show it.

    Returns:
        (n, t_i) by image and (m, t_t) by caption, image by image; float16 of unit length, mapped from disk.
        Zero: an image that cannot be decoded, a caption that says nothing to its teacher.

    Raises:
        SourceError: no captions, or precomputed rows that do not fit the source.
        ModelError: an unknown teacher, one that cannot be loaded, a package that is missing.
    """
    texts, _ = pairs.flat_captions()
    if not texts:
        raise SourceError(f"{pairs.source} has no caption that a teacher could read.")
    image = _image_teacher(image_spec or IMAGE_TEACHER, pairs, images, encoder, progress)
    text = _text_teacher(text_spec or TEXT_TEACHER, pairs, texts, encoder.device)
    return (
        _open(image, "images", len(pairs), pairs, progress),
        _open(text, "captions", len(texts), pairs, progress),
    )


def save_teachers(path: Path, pairs: PairSet, image: np.ndarray, text: np.ndarray) -> None:
    """Write the rows of `open_teachers` for `precomputed:PATH:image` and `precomputed:PATH:text`."""
    with whole_file(path) as part:
        save_file({"image": image, "text": text}, part, metadata={SOURCE: pairs.fingerprint})


def _open(teacher: Teacher, of: str, n: int, pairs: PairSet, progress: bool) -> np.ndarray:
    key = hashlib.sha256(json.dumps([pairs.fingerprint, of, *teacher.facts]).encode()).hexdigest()[:32]

    def make(start: int) -> Iterator[Chunk]:
        for values, unusable in teacher.rows(start):
            if not np.isfinite(values).all():
                raise SourceError(f"The teacher {teacher.facts[0]} of {of} gives values that are not finite.")
            lengths = np.linalg.norm(values, axis=1, keepdims=True)
            yield (values / np.maximum(lengths, 1e-12)).astype(np.float16), unusable

    title = f"Asking the teacher {teacher.facts[0]} about the {of} of {pairs.source}"
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
        return _precomputed(rest, pairs, len(pairs), "images")
    raise _unknown("image", spec, "features, timm:NAME, timm:NAME@FILE.safetensors", ("features", "timm"))


def _text_teacher(spec: str, pairs: PairSet, texts: list[str], device: torch.device) -> Teacher:
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
        return _precomputed(rest, pairs, len(texts), "captions")
    raise _unknown("text", spec, "lsa, sentence-transformers:NAME", ("lsa", "sentence-transformers"))


def _features(pairs: PairSet, images: ImageRows, encoder: DualEncoder, progress: bool) -> Teacher:
    """Minus their mean: of non-negative features, all cosines would be high."""
    if not isinstance(images, StoredImages) or images.values.dtype == np.uint8:  # pixels
        try:
            images = cached_features(pairs, encoder, workers=0, progress=progress)
        except ModelError as error:
            raise ModelError(
                f"There are no features for the image teacher 'features' ({error}) "
                "Name another with --image-teacher, such as timm:NAME."
            ) from error
    features = images.values
    usable = np.isin(np.arange(len(features)), list(images.unusable), invert=True)[:, None]

    def rows(start: int) -> Iterator[Chunk]:
        mean = features.mean(0, where=usable)
        for first in range(start, len(features), IMAGES):
            some = slice(first, first + IMAGES)
            yield np.where(usable[some], features[some] - mean, 0), {}

    return Teacher(["features", hashlib.sha256(np.ascontiguousarray(features).data).hexdigest()], rows)


def _timm(rest: str, pairs: PairSet, device: torch.device) -> Teacher:
    name, _, file = rest.partition("@")

    def rows(start: int) -> Iterator[Chunk]:
        import timm

        with _loading("image", f"timm:{rest}", "without a network, take timm:NAME@FILE.safetensors"):
            model = timm.create_model(name, pretrained=not file, num_classes=0)
            missing = model.load_state_dict(load_file(file), strict=False).missing_keys if file else []
            if missing:  # a classifier too many is no harm
                raise ModelError(f"{file} holds no weights of timm's {name}: it has no {missing[0]!r}.")
        model.eval().to(device)
        settings = timm.data.resolve_model_data_config(model)
        transform = timm.data.create_transform(**settings, is_training=False)

        @torch.inference_mode()
        def embed(batch: list[Image.Image]) -> np.ndarray:
            pixels = torch.stack([transform(centre_of_strip(image)) for image in batch])
            return model(pixels.to(device)).float().cpu().numpy()

        yield from _each_image(pairs, start, embed)

    return Teacher([f"timm:{name}", *([_sha256(file, f"timm:{rest}")] if file else [])], rows)


def _sentence_transformer(name: str, texts: list[str], device: torch.device) -> Teacher:
    spec = f"sentence-transformers:{name}"

    def rows(start: int) -> Iterator[Chunk]:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ModelError(
                f"The text teacher {spec} needs a package: pip install 'pairscope[teachers]'."
            ) from error
        with _loading("text", spec, "without a network, give the path of its folder"):
            model = SentenceTransformer(name, device=str(device), model_kwargs={"use_safetensors": True})
        yield from _each_text(texts, start, lambda batch: model.encode(batch, show_progress_bar=False))

    files = sorted(path for path in Path(name).rglob("*") if path.is_file()) if Path(name).is_dir() else []
    return Teacher([spec, *map(sha256, files)], rows)


def _precomputed(rest: str, pairs: PairSet, n: int, of: str) -> Teacher:
    path, _, key = rest.rpartition(":")
    digest = _sha256(path, f"precomputed:{rest}")
    try:
        with safe_open(path, "np") as file:
            made_of = (file.metadata() or {}).get(SOURCE, pairs.fingerprint)
    except SafetensorError as error:
        raise SourceError(f"Cannot read the teacher precomputed:{rest}: {error}.") from error
    if made_of != pairs.fingerprint:
        raise SourceError(
            f"{path} holds a teacher's rows of the source {made_of[:12]}, but {pairs.source} is "
            f"{pairs.fingerprint[:12]}: other {of}, or the same in another order. Make the rows of this one."
        )
    return Teacher(
        ["precomputed", digest, key],
        lambda start: [(features_from_file(rest, n, of).values[start:], {})],
    )


def _lsa(texts: list[str]) -> np.ndarray:
    """tf-idf, then a truncated SVD (Deerwester et al. 1990) -> (m, LSA_DIMS or fewer)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        counts = TfidfVectorizer(dtype=np.float32).fit_transform(texts)
    except ValueError as error:
        raise SourceError(f"The captions hold no words for the text teacher 'lsa' ({error}).") from error
    return TruncatedSVD(min(LSA_DIMS, *counts.shape), random_state=0).fit_transform(counts)


def _each_image(
    pairs: PairSet, start: int, embed: Callable[[list[Image.Image]], np.ndarray]
) -> Iterator[Chunk]:
    """Embed the images from row `start` on; where one cannot be decoded, its row is zero."""
    for first in range(start, len(pairs), IMAGES):
        opened: list[Image.Image] = []
        unusable: dict[int, str] = {}
        for row in range(first, min(first + IMAGES, len(pairs))):
            try:
                opened.append(pairs.image(row))
            except ImageError as error:
                opened.append(Image.new("RGB", (64, 64)))
                unusable[row] = str(error)
        values = embed(opened)
        values[[row - first for row in unusable]] = 0
        yield values, unusable


def _each_text(texts: list[str], start: int, embed: Callable[[list[str]], Any]) -> Iterator[Chunk]:
    for first in range(start, len(texts), TEXTS):
        yield embed(texts[first : first + TEXTS]), {}


def _sha256(file: str, spec: str) -> str:
    try:
        return sha256(Path(file))
    except OSError as error:
        raise ModelError(
            f"Cannot read the file {file!r} of the teacher {spec} ({error.strerror}); write "
            "timm:NAME@FILE.safetensors or precomputed:FILE.safetensors:KEY."
        ) from error


def _unknown(modality: str, spec: str, own: str, kinds: tuple[str, ...]) -> ModelError:
    nearest = did_you_mean(spec.partition(":")[0], (*kinds, "open_clip", "precomputed"))
    both = "open_clip:SPEC, precomputed:FILE.safetensors:KEY"
    return ModelError(f"There is no {modality} teacher {spec!r}; one of {own}, {both}.{nearest}")


@contextmanager
def _loading(modality: str, spec: str, remedy: str) -> Iterator[None]:
    """Whatever other libraries raise, in one sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"Cannot load the {modality} teacher {spec}: {reason} ({remedy}).") from error
