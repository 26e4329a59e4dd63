"""Evaluation of a model on a source: metrics with intervals and provenance, and comparison of two models."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from itr_core.encoders import DualEncoder, Encoder
from itr_core.encoders.heads import LocalRole, heads_of
from itr_core.errors import ImageError, ModelError, PairscopeError, SourceError, did_you_mean
from itr_core.evaluation.embedded import Embedded, Tokens
from itr_core.evaluation.hierarchical import image_tokens, reranked, text_tokens
from itr_core.evaluation.human_judgments import expert_judgments, spearman
from itr_core.evaluation.protocols import PROTOCOLS, WITH_TOKENS, WITHOUT_CAPTIONS
from itr_core.evaluation.text_pairs import TextPairs, read_text_pairs
from itr_core.features.image_rows import StoredImages, check_width, encode_rows, encode_rows_with_patches
from itr_core.metrics.bootstrap import interval
from itr_core.metrics.samples import MetricSamples
from itr_core.pairs import PairSet
from itr_core.system.provenance import code_version


def evaluate(
    encoder: Encoder,
    pairs: PairSet,
    image_features: np.ndarray | None = None,
    *,
    protocols: Sequence[str] = ("standard",),
    rerank: float | bool | None = None,
    u1: float | None = None,
    judgments: str | Path | None = None,
    sts: str | Path | Sequence[str | Path] | None = None,
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
        rerank: also evaluate retrieval with re-ranking (see `reranked_ranks`), which takes one or two
            milliseconds per query; a number is the value of `u1`.
        u1: weight of the local similarity in re-ranking and in the protocol hierarchical, in [0, 1]. Default:
            that of the training of each model, see `Heads.local`. Both need the tokens of all images and
            captions, 4 d bytes each, which are kept in temporary files.
        judgments: a file of expert judgments of Flickr8k, see
            `itr_core.evaluation.human_judgments.expert_judgments`.
        sts: files and folders of scored text pairs, see `itr_core.evaluation.text_pairs.read_text_pairs`. The
            rank correlation of cosine and score is `sts_spearman` for one file, `sts_NAME_spearman` for each
            of several sets and `sts_mean_spearman` their mean; intervals are over lines.
        database: another source, whose images the images of `pairs` search; for the protocol uni-modal.
        against: another model, to compare with on the same queries.

    Returns:
        Every metric by name, those of `itr_core.metrics.retrieval_metrics` and others with their protocol as
        prefix, such as `exact_t2i_map_at_r` and `reranked_rsum`. Recalls, precisions and shares are in
        percent, correlations in [-1, 1]. Further keys are `model`, `source`, `n_images`, `n_captions`,
        `model_sha256`, `source_sha256`, `code_version`, `skipped` (a list of reasons, each naming its image),
        and `rows`.

        `rows` has one entry per metric with `protocol`, `direction`, `metric`, `value`, `low` and `high` (the
        95 % interval, see `itr_core.metrics.bootstrap`; None without queries), `queries`, and the provenance.
        With `against`, rows also have `against`, `against_sha256`, `against_value`, `difference` (value minus
        `against_value`), `difference_low`, `difference_high` and the two-sided `p`. With `database`, they
        have `database` and `database_sha256`.

    Raises:
        PairscopeError: an unknown protocol.
        SourceError: no captions, features that do not match the source, or a protocol that needs data which
            the source does not have.
        ModelError: `rerank` with a model without tokens, or `image_features` together with `against`.
    """
    _check_protocols(protocols, with_database=database is not None)
    captioned = any(name not in WITHOUT_CAPTIONS for name in protocols)
    reranks = rerank is not None and rerank is not False  # 0.0 is a value of u1
    if rerank is not None and not isinstance(rerank, bool):
        u1 = rerank
    if (captioned or reranks or judgments is not None) and not any(pairs.captions):
        raise SourceError(
            f"No image of {pairs.source} has a caption, so recall cannot be computed. The protocol uni-modal "
            "measures images with labels."
        )
    if against is not None and image_features is not None:
        raise ModelError(
            "Image features belong to one image tower; compare two models on the images instead."
        )
    with_tokens = reranks or not WITH_TOKENS.isdisjoint(protocols)
    files = [sts] if isinstance(sts, str | Path) else sts or ()
    text_pairs = read_text_pairs([Path(each) for each in files])

    def measured(model: Encoder, skipped: list[str]) -> tuple[Embedded, list[MetricSamples]]:
        local = heads_of(model).local(u1) if with_tokens else None
        source = _embed(model, pairs, image_features, local, skipped)
        if database is not None:
            source = replace(source, database=_embed(model, database, None, None, skipped))
        metrics = [metric for name in protocols for metric in PROTOCOLS[name](source)]
        metrics += reranked(source) if reranks else []
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
    local: LocalRole | None,
    skipped: list[str],
) -> Embedded:
    """Embed the source, with tokens if `local` says how to use them."""
    if image_features is None:
        image_features = pairs.image_features
    if image_features is not None:
        return _embed_features(encoder, pairs, image_features, local)

    kept: list[int] = []
    decoded = decodable(pairs, kept, skipped)
    patches = None
    if local is None:
        images = encoder.encode_images(decoded)
    else:
        images, patches = image_tokens(encoder, decoded, len(pairs))
    usable = pairs if len(kept) == len(pairs) else pairs.select(kept)
    if not any(usable.captions) and any(pairs.captions):
        raise SourceError(f"{pairs.source}: no image that can be decoded has a caption.")
    return _with_texts(encoder, usable, images, patches, local)


def _embed_features(
    encoder: Encoder, pairs: PairSet, features: np.ndarray, local: LocalRole | None
) -> Embedded:
    """Embed the source with features of its images, of which those of regions are tokens."""
    if len(features) != len(pairs):
        raise SourceError(f"{len(features)} rows of features, but {len(pairs)} images in {pairs.source}.")
    if not isinstance(encoder, DualEncoder):
        raise ModelError(f"{encoder.spec} cannot project image features; evaluate on the images instead.")
    check_width(encoder, features.shape, pairs.source)
    rows, stored = np.arange(len(pairs)), StoredImages(features, {})
    patches = None
    if local is None:
        images, _ = encode_rows(encoder, stored, rows)
    else:
        images, _, patches = encode_rows_with_patches(encoder, stored, rows)
        if patches is None:
            raise ModelError(
                "Image features have no patch tokens for the local similarity, unless they are of regions; "
                "evaluate on the images instead."
            )
    return _with_texts(encoder, pairs, images, patches, local)


def _with_texts(
    encoder: Encoder,
    pairs: PairSet,
    images: np.ndarray,
    patches: np.ndarray | None,
    local: LocalRole | None,
) -> Embedded:
    """Embed the captions, and map both to the spaces of the model for search within a modality."""
    captions, tokens = pairs.flat_captions()[0], None
    if local is None or patches is None:
        texts = encoder.encode_texts(captions)
    else:
        texts, words, mask = text_tokens(encoder, captions)
        tokens = Tokens(patches, words, mask, local, getattr(encoder, "device", "cpu"))
    spaces = heads_of(encoder).uni_modal
    uni_modal = None if spaces is None else (spaces.images(images), spaces.texts(texts))
    return Embedded(pairs, images, texts, uni_modal=uni_modal, tokens=tokens)


def decodable(pairs: PairSet, kept: list[int], skipped: list[str]) -> Iterator[Image.Image]:
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
    spaces, metrics = heads_of(encoder).uni_modal, []
    for name, *texts, scores in sets:
        first, second = map(encoder.encode_texts, texts)
        if spaces is not None:
            first, second = spaces.texts(first), spaces.texts(second)
        cosine = np.einsum("ij,ij->i", first, second)
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
