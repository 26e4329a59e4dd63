"""What a training run begins with: pairs, a model, and its images in the form in which they are wanted."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch import nn

from itr_core.encoders import tokenizer
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.word_vectors import set_word_vectors
from itr_core.errors import SourceError
from itr_core.features.image_rows import (
    DecodedImages,
    ImageRows,
    cached_features,
    cached_pixels,
    embed_source,
    features_from_file,
)
from itr_core.methods import Method, Setup
from itr_core.pairs import PairSet, load_pairs
from itr_core.training.config import TrainConfig
from itr_core.training.method_inputs import MethodInputs


def open_pairs(config: TrainConfig, spec: str, limit: int | None = None) -> PairSet:
    """Load a source the way the run's settings say."""
    return load_pairs(spec, columns=config.columns, image_root=config.image_root, limit=limit)


def new_encoder(config: TrainConfig, pairs: PairSet, device: str) -> DualEncoder:
    """Load the model to train; NAME/none first learns a tokenizer from the captions of `pairs`."""
    own_tokenizer = None
    name, _, weights = config.model.partition("/")
    if weights == "none" and name in open_clip.list_models() and config.vocab_size:
        length = open_clip.get_model_config(name)["text_cfg"].get("context_length", 77)
        texts, _ = pairs.flat_captions()
        own_tokenizer = tokenizer.train(texts, vocab_size=config.vocab_size, context_length=length)
    encoder = load_encoder(
        config.model,
        device=device,
        tokenizer=own_tokenizer,
        image_weights=Path(config.image_weights) if config.image_weights else None,
        pixel_norm=config.pixel_norm,
        resize=config.resize,
        seed=config.seed,
    )
    if config.word_vectors:
        set_word_vectors(encoder, Path(config.word_vectors))
    return encoder


def open_images(
    config: TrainConfig, pairs: PairSet, features: str | None, encoder: DualEncoder, progress: bool
) -> ImageRows:
    """Return pixels (`features` None), trunk features ('cache') or those of a file (FILE.safetensors:KEY)."""
    if features is None and not config.cache_images:
        return DecodedImages(pairs, encoder)
    if features is None:
        return cached_pixels(pairs, encoder, workers=config.workers, progress=progress)
    if features == "cache":
        return cached_features(pairs, encoder, workers=config.workers, progress=progress)
    return features_from_file(features, len(pairs))


def centre_projection(config: TrainConfig, encoder: DualEncoder, pairs: PairSet, images: ImageRows) -> None:
    """Let the image projection of NAME/none, trained on features, send their mean to zero if it has a bias.

    Features of a rectified trunk are nowhere negative: all images would begin in one narrow cone (Liang et
    al. 2022, arXiv:2203.02053), and the first epochs would be spent on leaving it.
    """
    visual: Any = encoder.model.visual
    projection = getattr(getattr(visual, "head", None), "proj", None)
    fresh = config.image_features is not None and config.model.endswith("/none")
    if fresh and isinstance(projection, nn.Linear) and projection.bias is not None:
        features, _ = images.read(usable_rows(pairs, images))
        with torch.no_grad():
            projection.bias.copy_(-projection.weight @ features.mean(0).to(projection.weight))


def usable_rows(pairs: PairSet, images: ImageRows) -> np.ndarray:
    """Return the rows with a caption and, as far as is known, an image; raise SourceError if none has."""
    rows = [row for row, texts in enumerate(pairs.captions) if texts and row not in images.unusable]
    if not rows:
        raise SourceError(
            f"{pairs.source} has no image with a caption to learn from: {len(pairs)} images, "
            f"{sum(map(bool, pairs.captions))} with captions, {len(images.unusable)} undecodable."
        )
    return np.array(rows)


def open_supplies(
    config: TrainConfig,
    method: Method,
    pairs: PairSet,
    images: ImageRows,
    encoder: DualEncoder,
    progress: bool = True,
) -> tuple[MethodInputs, Setup]:
    """Make what the method needs of the source, once, and tell the method its shapes."""
    supplies = MethodInputs(method, encoder.tokenizer, pairs.captions)
    names: list[str] = []

    def embed() -> tuple[np.ndarray, np.ndarray]:
        return embed_source(encoder, pairs, images)

    if "labels" in method.needs:
        from itr_core.supervision.labels import label_matrix

        names, supplies.labels = label_matrix(pairs, config.labels, embed, seed=config.seed)
    if "concepts" in method.needs:
        from itr_core.supervision.concept_graph import concept_graph

        supplies.concepts = concept_graph(pairs, Path(config.triples) if config.triples else None)
    if "teachers" in method.needs:
        from itr_core.features.teachers import open_teachers

        supplies.teachers = open_teachers(
            config.image_teacher, config.text_teacher, pairs, images, encoder, progress=progress
        )
    setup = Setup(
        dim=encoder.dim,
        captions=pairs.captions,
        triples=pairs.triples,
        labels=names,
        concepts=supplies.concepts,
        embed=embed,
        encode_texts=encoder.encode_texts,
        seed=config.seed,
    )
    return supplies, setup
