"""A model on a source: the standard measures, with what was measured."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from itr_core.encoder import DualEncoder
from itr_core.errors import ImageError, ModelError, SourceError
from itr_core.metrics import CosineRows, retrieval_metrics
from itr_core.pairs import PairSet
from itr_core.reranking import reranked_metrics


def score(encoder: DualEncoder, images: np.ndarray, captions: Sequence[Sequence[str]]) -> dict[str, float]:
    """`retrieval_metrics` of embedded images (n, d), unit norm, and the captions of each.

    Raises SourceError when there is no caption at all.
    """
    owner = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
    if not len(owner):
        raise SourceError("There is no image with a caption, so nothing to measure recall with.")
    texts = encoder.encode_texts([text for texts in captions for text in texts])
    return retrieval_metrics(CosineRows(images, texts), owner)


def evaluate(
    encoder: DualEncoder,
    pairs: PairSet,
    image_features: np.ndarray | None = None,
    *,
    rerank: float | None = None,
) -> dict[str, Any]:
    """Measure retrieval in both directions over all images and captions of a source.

    Args:
        encoder: any dual encoder.
        pairs: images that cannot be decoded are left out with their captions, and named.
        image_features: (len(pairs), f) float, what enters the image tower's last projection, in place of the
            images themselves (see `DualEncoder.image_features`).
        rerank: u1 in [0, 1] to measure retrieval in two steps, too (see `reranked_metrics`), which takes the
            tokens of all images and captions, 4 d bytes each, and a millisecond or two a query.

    Returns:
        The keys of `itr_core.metrics.retrieval_metrics`, with `rerank` again as `reranked_...`, and `model`,
        `source`, `n_images`, `n_captions`, `model_sha256`, `source_sha256`, `skipped` (a list of reasons,
        each naming its image).

    Raises:
        SourceError: no captions, or features that do not fit the source.
        ModelError: `rerank` of a model without tokens.
    """
    skipped = [f"{name}: {reason}" for name, reason in pairs.skipped]
    if rerank is not None and image_features is not None:
        raise ModelError("Cached features have no patches to rank again by; evaluate on the images.")
    if image_features is None:
        kept: list[int] = []
        decoded = _decodable(pairs, kept, skipped)
        if rerank is None:
            images = encoder.encode_images(decoded)
        else:
            images, places = encoder.encode_images(decoded, tokens=True)
        captions = [pairs.captions[row] for row in kept]
    else:
        if len(image_features) != len(pairs):
            raise SourceError(
                f"{len(image_features)} rows of features, {len(pairs)} images in {pairs.source}."
            )
        with torch.inference_mode():
            features = torch.as_tensor(image_features, dtype=encoder.dtype, device=encoder.device)
            projected = encoder.project(features)
        images = torch.nn.functional.normalize(projected.float(), dim=-1).cpu().numpy()
        captions = pairs.captions
    figures = score(encoder, images, captions)
    if rerank is not None:
        owner = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
        words = encoder.encode_texts([text for texts in captions for text in texts], tokens=True)
        again = reranked_metrics((images, places), words, owner, u1=rerank)
        figures |= {f"reranked_{name}": value for name, value in again.items()}
    return figures | {
        "model": encoder.spec,
        "source": pairs.source,
        "n_images": len(images),
        "n_captions": sum(map(len, captions)),
        "model_sha256": encoder.fingerprint,
        "source_sha256": pairs.fingerprint,
        "skipped": skipped,
    }


def _decodable(pairs: PairSet, kept: list[int], skipped: list[str]) -> Iterator[Image.Image]:
    """Yield the images that can be decoded; note their rows in `kept`, the others' reasons in `skipped`."""
    for row in range(len(pairs)):
        try:
            image = pairs.image(row)
        except ImageError as error:
            skipped.append(str(error))
            continue
        kept.append(row)
        yield image
