"""Evaluation of a model on a source: metrics with intervals and provenance, and comparison of two models."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from itr_core.encoders import DualEncoder, Encoder
from itr_core.errors import ImageError, ModelError, PairscopeError, SourceError, did_you_mean
from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.human_judgments import expert_judgments, spearman
from itr_core.evaluation.protocols import PROTOCOLS, WITHOUT_CAPTIONS
from itr_core.evaluation.text_pairs import TextPairs, read_text_pairs
from itr_core.features.image_rows import StoredImages, check_width, encode_rows
from itr_core.metrics.bootstrap import interval
from itr_core.metrics.samples import MetricSamples, recalls
from itr_core.pairs import PairSet
from itr_core.retrieval.reranking import reranked_ranks
from itr_core.system.provenance import code_version


def evaluate(
    encoder: Encoder,
    pairs: PairSet,
    image_features: np.ndarray | None = None,
    *,
    protocols: Sequence[str] = ("standard",),
    rerank: float | None = None,
    judgments: str | Path | None = None,
    sts: str | Path | Sequence[str | Path] = (),
    database: PairSet | None = None,
    against: Encoder | None = None,
) -> dict[str, Any]:
    """Evaluate a model on all images and captions of a source.

    Args:
        encoder: the model; with `image_features`, a `DualEncoder`.
        pairs: the source; images that cannot be decoded are skipped with their captions, and reported.
        image_features: (len(pairs), f) or, of regions, (len(pairs), R, f) float, inputs of the last
            projection of the image tower, instead of the images. By default those of the source, if it has
            features.
        protocols: names in `itr_core.evaluation.protocols.PROTOCOLS`.
        rerank: u1 in [0, 1], to also evaluate retrieval with re-ranking (see `reranked_ranks`). It needs the
            tokens of all images and captions, 4 d bytes each, and one or two milliseconds per query.
        judgments: a file of expert judgments of Flickr8k, see
            `itr_core.evaluation.human_judgments.expert_judgments`.
        sts: files and folders of scored text pairs, see `itr_core.evaluation.text_pairs.read_text_pairs`. The
            rank correlation of cosine and score is `sts_spearman` for one file, `sts_NAME_spearman` for each
            of several sets and `sts_mean_spearman` their mean; intervals are over lines.
        database: another source, whose images the images of `pairs` search; for the protocol uni-modal.
        against: another model, to compare with on the same queries.

    Returns:
        Every metric by name: the keys of `itr_core.metrics.retrieval_metrics`, and others with their
            protocol as prefix, such as `exact_t2i_map_at_r` and `reranked_rsum`. Recalls, precisions and
            shares are in percent, correlations in [-1, 1]. Further keys are `model`, `source`, `n_images`,
            `n_captions`, `model_sha256`, `source_sha256`, `code_version`, `skipped` (a list of reasons,
            each naming its image), and `rows`, one per
            metric: `protocol`, `direction`, `metric`, `value`, `low` and `high` (95 % interval, see
            `itr_core.metrics.bootstrap`; None without queries), `queries`, and the provenance. With
            `against`, rows also have `against`, `against_sha256`, `against_value`, `difference` (value minus
            `against_value`), `difference_low`, `difference_high` and the two-sided `p`. With `database`,
            they have `database` and `database_sha256`.

    Raises:
        PairscopeError: an unknown protocol.
        SourceError: no captions, features that do not match the source, or a protocol that needs data which
            the source does not have.
        ModelError: `rerank` with a model without tokens, or `image_features` together with `against`.
    """
    _check_protocols(protocols, with_database=database is not None)
    captioned = any(name not in WITHOUT_CAPTIONS for name in protocols)
    if (captioned or rerank is not None or judgments is not None) and not any(pairs.captions):
        raise SourceError(
            f"No image of {pairs.source} has a caption, so recall cannot be computed. The protocol uni-modal "
            "measures images with labels."
        )
    if against is not None and image_features is not None:
        raise ModelError(
            "Image features belong to one image tower; compare two models on the images instead."
        )
    text_pairs = read_text_pairs([Path(each) for each in ([sts] if isinstance(sts, str | Path) else sts)])

    def measured(model: Encoder, skipped: list[str]) -> tuple[Embedded, list[MetricSamples]]:
        source, reranked = _embed(model, pairs, image_features, rerank, skipped)
        if database is not None:
            source = replace(source, database=_embed(model, database, None, None, skipped)[0])
        metrics = [metric for name in protocols for metric in PROTOCOLS[name](source)] + reranked
        if judgments is not None:
            metrics += expert_judgments(Path(judgments), source.pairs, source.images, source.texts)
        return source, metrics + _sts(model, text_pairs)

    skipped = [
        f"{name}: {reason}" for each in (pairs, database) if each is not None for name, reason in each.skipped
    ]
    source, metrics = measured(encoder, skipped)
    provenance = {
        "model": encoder.spec,
        "model_sha256": encoder.fingerprint,
        "source": pairs.source,
        "source_sha256": pairs.fingerprint,
        "code_version": code_version(),
    }
    if database is not None:
        provenance |= {"database": database.source, "database_sha256": database.fingerprint}
    rows = [_row(metric) | provenance for metric in metrics]
    if against is not None:
        other = {"against": against.spec, "against_sha256": against.fingerprint}
        for row, ours, theirs in zip(rows, metrics, measured(against, [])[1], strict=True):
            row.update(other | _difference(ours, theirs))
    return (
        {metric.name: row["value"] for metric, row in zip(metrics, rows, strict=True)}
        | provenance
        | {"n_images": len(source.images), "n_captions": len(source.texts), "skipped": skipped, "rows": rows}
    )


def _check_protocols(protocols: Sequence[str], *, with_database: bool) -> None:
    for name in protocols:
        if name not in PROTOCOLS:
            raise PairscopeError(f"Unknown protocol {name!r}.{did_you_mean(name, PROTOCOLS)}")
    if with_database and list(protocols) != ["uni-modal"]:
        raise PairscopeError(
            "A database is searched with images: the only protocol is uni-modal, not "
            f"{', '.join(protocols) or 'none'}."
        )


def _embed(
    encoder: Encoder,
    pairs: PairSet,
    image_features: np.ndarray | None,
    rerank: float | None,
    skipped: list[str],
) -> tuple[Embedded, list[MetricSamples]]:
    """Embed the source; with `rerank`, also return the metrics of retrieval with re-ranking."""
    if image_features is None:
        image_features = pairs.image_features
    if image_features is not None:
        if rerank is not None:
            raise ModelError(
                "Image features have no patch tokens for re-ranking; evaluate on the images instead."
            )
        if len(image_features) != len(pairs):
            raise SourceError(
                f"{len(image_features)} rows of features, but {len(pairs)} images in {pairs.source}."
            )
        if not isinstance(encoder, DualEncoder):
            raise ModelError(f"{encoder.spec} cannot project image features; evaluate on the images instead.")
        check_width(encoder, image_features.shape, pairs.source)
        images, _ = encode_rows(encoder, StoredImages(image_features, {}), np.arange(len(pairs)))
        return Embedded(pairs, images, encoder.encode_texts(pairs.flat_captions()[0])), []

    kept: list[int] = []
    decoded = _decodable(pairs, kept, skipped)
    if rerank is None:
        images = encoder.encode_images(decoded)
    else:
        images, patches = encoder.encode_images(decoded, tokens=True)
    usable = pairs if len(kept) == len(pairs) else pairs.select(kept)
    captions, image_of_caption = usable.flat_captions()
    if not captions and any(pairs.captions):
        raise SourceError(f"{pairs.source}: no image that can be decoded has a caption.")
    if rerank is None:
        return Embedded(usable, images, encoder.encode_texts(captions)), []
    texts, words, mask = encoder.encode_texts(captions, tokens=True)
    t2i, i2t = reranked_ranks((images, patches), (texts, words, mask), image_of_caption, u1=rerank)
    return Embedded(usable, images, texts), recalls("reranked", t2i, i2t, image_of_caption)


def _decodable(pairs: PairSet, kept: list[int], skipped: list[str]) -> Iterator[Image.Image]:
    """Yield the decodable images; append their rows to `kept`, and the reasons of the others to `skipped`."""
    for row in range(len(pairs)):
        try:
            image = pairs.image(row)
        except ImageError as error:
            skipped.append(str(error))
            continue
        kept.append(row)
        yield image


def _sts(encoder: Encoder, sets: Sequence[TextPairs]) -> list[MetricSamples]:
    """Correlate cosines with scores, for each set; of several sets, also return the mean."""
    metrics = []
    for name, first, second, scores in sets:
        cosine = np.einsum("ij,ij->i", encoder.encode_texts(first), encoder.encode_texts(second))
        protocol = f"sts-{name}" if name else "sts"
        metrics.append(spearman(protocol, "", cosine, scores, np.arange(len(scores)), len(scores)))
    if len(metrics) < 2:
        return metrics

    def share(rows: np.ndarray) -> float:
        return metrics[0].statistic(rows) / len(sets)

    parts = tuple(part for metric in metrics for part in metric.parts)
    return [*metrics, MetricSamples("sts-mean", "", "spearman", parts, share)]


def _row(metric: MetricSamples) -> dict[str, Any]:
    low, high = interval(metric.bootstrap())
    return {
        "protocol": metric.protocol,
        "direction": metric.direction,
        "metric": metric.metric,
        "value": _none_if_nan(metric.value),
        "low": _none_if_nan(low),
        "high": _none_if_nan(high),
        "queries": sum(len(part.values) for part in metric.parts),
    }


def _difference(ours: MetricSamples, theirs: MetricSamples) -> dict[str, Any]:
    difference = ours.minus(theirs)
    return {
        "against_value": _none_if_nan(theirs.value),
        "difference": _none_if_nan(difference.difference),
        "difference_low": _none_if_nan(difference.low),
        "difference_high": _none_if_nan(difference.high),
        "p": _none_if_nan(difference.p),
    }


def _none_if_nan(value: float) -> float | None:
    """Return None for NaN, which JSON does not have."""
    return None if np.isnan(value) else value
