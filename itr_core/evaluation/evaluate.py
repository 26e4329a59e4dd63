"""A model on a source: figures with intervals, with what was measured, and beside another model's."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import ImageError, ModelError, PairscopeError, SourceError, did_you_mean
from itr_core.evaluation.human_judgments import expert_judgments, read_sts, spearman
from itr_core.evaluation.protocols import PROTOCOLS, Embedded
from itr_core.metrics.bootstrap import interval
from itr_core.metrics.samples import MetricSamples, recalls
from itr_core.pairs import PairSet
from itr_core.retrieval.reranking import reranked_ranks
from itr_core.system.provenance import code_version


def evaluate(
    encoder: DualEncoder,
    pairs: PairSet,
    image_features: np.ndarray | None = None,
    *,
    protocols: Sequence[str] = ("standard",),
    rerank: float | None = None,
    judgments: str | Path | None = None,
    sts: str | Path | None = None,
    against: DualEncoder | None = None,
) -> dict[str, Any]:
    """Measure a model on all images and captions of a source.

    Args:
        encoder: any dual encoder.
        pairs: images that cannot be decoded are left out with their captions, and named.
        image_features: (len(pairs), f) float, what enters the image tower's last projection, in place of the
            images themselves (see `DualEncoder.image_features`).
        protocols: names of `itr_core.evaluation.protocols.PROTOCOLS`; each function there says what it measures.
        rerank: u1 in [0, 1] to measure retrieval in two steps, too (see `reranked_ranks`), which takes the
            tokens of all images and captions, 4 d bytes each, and a millisecond or two a query.
        judgments: a file of Flickr8k's expert judgments, see `itr_core.evaluation.human_judgments.expert_judgments`.
        sts: a file of lines `text1 <tab> text2 <tab> score`; `sts_spearman` is the rank correlation of cosine
            and score, its interval one over lines.
        against: another model to compare with on the same queries.

    Returns:
        Every figure under its name: the keys of `itr_core.metrics.retrieval_metrics`, others with their
        protocol first, such as `exact_t2i_map_at_r` and `reranked_rsum`. Recalls, precisions and shares in
        percent, correlations in [-1, 1]. Also `model`, `source`, `n_images`, `n_captions`, `model_sha256`,
        `source_sha256`, `code_version`, `skipped` (a list of reasons, each naming its image), and `rows`,
        one for each figure: `protocol`, `direction`, `metric`, `value`, `low` and `high` (95 %, see
        `itr_core.metrics.bootstrap`; None without queries), `queries`, and again what was measured. With
        `against`, rows also have `against`, `against_sha256`, `against_value`, and, of the value minus that,
        `difference`, `difference_low`, `difference_high` and the two-sided `p`.

    Raises:
        SourceError: no captions, features that do not fit the source, or a protocol that asks for what the
            source has not.
        ModelError: `rerank` of a model without tokens; features of one model `against` another.
    """
    for name in protocols:
        if name not in PROTOCOLS:
            raise PairscopeError(f"There is no protocol {name!r}.{did_you_mean(name, PROTOCOLS)}")
    if against is not None and image_features is not None:
        raise ModelError("Cached features belong to one image tower; compare two models on the images.")

    def measured(model: DualEncoder, skipped: list[str]) -> tuple[Embedded, list[MetricSamples]]:
        source, again = _embed(model, pairs, image_features, rerank, skipped)
        figures = [figure for name in protocols for figure in PROTOCOLS[name](source)] + again
        if judgments is not None:
            figures += expert_judgments(Path(judgments), source.pairs, source.images, source.texts)
        return source, figures if sts is None else [*figures, _sts(model, Path(sts))]

    skipped = [f"{name}: {reason}" for name, reason in pairs.skipped]
    source, figures = measured(encoder, skipped)
    about = {
        "model": encoder.spec,
        "model_sha256": encoder.fingerprint,
        "source": pairs.source,
        "source_sha256": pairs.fingerprint,
        "code_version": code_version(),
    }
    rows = [_row(figure) | about for figure in figures]
    if against is not None:
        other = {"against": against.spec, "against_sha256": against.fingerprint}
        for row, ours, theirs in zip(rows, figures, measured(against, [])[1], strict=True):
            row |= other | _difference(ours, theirs)
    return (
        {figure.name: row["value"] for figure, row in zip(figures, rows, strict=True)}
        | about
        | {"n_images": len(source.images), "n_captions": len(source.texts), "skipped": skipped, "rows": rows}
    )


def _embed(
    encoder: DualEncoder,
    pairs: PairSet,
    image_features: np.ndarray | None,
    rerank: float | None,
    skipped: list[str],
) -> tuple[Embedded, list[MetricSamples]]:
    """The source in the model's space, and what it finds in two steps, for which tokens are needed."""
    if not any(pairs.captions):
        raise SourceError("There is no image with a caption, so nothing to measure recall with.")
    if image_features is not None:
        if rerank is not None:
            raise ModelError("Cached features have no patches to rank again by; evaluate on the images.")
        if len(image_features) != len(pairs):
            raise SourceError(
                f"{len(image_features)} rows of features, {len(pairs)} images in {pairs.source}."
            )
        with torch.inference_mode():
            features = torch.as_tensor(image_features, dtype=encoder.dtype, device=encoder.device)
            projected = encoder.project(features)
        images = torch.nn.functional.normalize(projected.float(), dim=-1).cpu().numpy()
        return Embedded(pairs, images, encoder.encode_texts(pairs.flat_captions()[0])), []

    kept: list[int] = []
    decoded = _decodable(pairs, kept, skipped)
    if rerank is None:
        images = encoder.encode_images(decoded)
    else:
        images, places = encoder.encode_images(decoded, tokens=True)
    usable = pairs if len(kept) == len(pairs) else pairs.select(kept)
    captions, image_of_caption = usable.flat_captions()
    if not captions:
        raise SourceError(f"{pairs.source}: no image that can be decoded has a caption.")
    if rerank is None:
        return Embedded(usable, images, encoder.encode_texts(captions)), []
    texts, words, mask = encoder.encode_texts(captions, tokens=True)
    again = reranked_ranks((images, places), (texts, words, mask), image_of_caption, u1=rerank)
    return Embedded(usable, images, texts), recalls("reranked", *again, image_of_caption)


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


def _sts(encoder: DualEncoder, path: Path) -> MetricSamples:
    first, second, scores = read_sts(path)
    cosine = np.einsum("ij,ij->i", encoder.encode_texts(first), encoder.encode_texts(second))
    return spearman("sts", "", cosine, scores, np.arange(len(scores)), len(scores))


def _row(figure: MetricSamples) -> dict[str, Any]:
    low, high = interval(figure.bootstrap())
    return {
        "protocol": figure.protocol,
        "direction": figure.direction,
        "metric": figure.metric,
        "value": _known(figure.value),
        "low": _known(low),
        "high": _known(high),
        "queries": sum(len(part.values) for part in figure.parts),
    }


def _difference(ours: MetricSamples, theirs: MetricSamples) -> dict[str, Any]:
    difference = ours.minus(theirs)
    return {
        "against_value": _known(theirs.value),
        "difference": _known(difference.difference),
        "difference_low": _known(difference.low),
        "difference_high": _known(difference.high),
        "p": _known(difference.p),
    }


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value
