"""What a training run starts with: pairs, model, images and the inputs of the method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import open_clip
import torch
from torch import nn

from itr_core.encoders import tokenizer
from itr_core.encoders.checksums import damage
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.encoders.loading import require_trainable
from itr_core.encoders.word_vectors import set_word_vectors
from itr_core.errors import SourceError
from itr_core.features.image_rows import (
    DecodedImages,
    ImageRows,
    cached_features,
    cached_pixels,
    check_width,
    embed_source,
    features_from_file,
    features_of_source,
)
from itr_core.methods import Method, Setup, make_method, preset_needs_labels
from itr_core.pairs import SOURCE_OPTIONS, PairSet, load_pairs, options_of
from itr_core.training.config import TrainConfig
from itr_core.training.method_inputs import MethodInputs, check_method_inputs
from itr_core.training.projections import SAMPLE, centre_image_projection, scale_text_projection


@dataclass
class TrainingSetup:
    """The data, the model and the method of a training run."""

    pairs: PairSet
    images: ImageRows
    """The images of `pairs`, as pixels or features."""
    encoder: DualEncoder
    """The model to train."""
    method: Method
    """The training objective, built for these data."""
    inputs: MethodInputs
    """What the method needs beyond images and captions."""
    validation: tuple[PairSet, ImageRows] | None
    """The validation source, if there is one."""
    damaged: str = ""
    """The damaged files of the checkpoint of a resumed run, which must be written again."""

    @classmethod
    def start(cls, config: TrainConfig, device: str, *, progress: bool = True) -> Self:
        """Set up a new run: the encoder before training, and a method prepared from the data."""
        pairs, validation = load_sources(config)
        encoder = _initial_encoder(config, pairs, device)
        setup, method_setup = cls._with_method(config, pairs, validation, encoder, None, progress)
        setup.method.prepare(method_setup)
        return setup

    @classmethod
    def resume(cls, config: TrainConfig, out: Path, device: str, *, progress: bool = True) -> Self:
        """Set up the run that was stopped in `out`; `load_state` then restores all weights and buffers.

        Labels and teachers can come from the embeddings of the encoder before training. For methods that need
        them, that encoder is loaded, too. If the checkpoint is damaged, the run goes on from its state alone.
        """
        pairs, validation = load_sources(config)
        damaged = damage(out)
        encoder = (
            _initial_encoder(config, pairs, device)
            if damaged
            else load_encoder(f"local-dir:{out}", device=device, heads=False)
        )
        initial = None
        if make_method(config.method, config.options).needs & {"labels", "teachers"}:
            initial = _initial_encoder(config, pairs, device)
        setup, _ = cls._with_method(config, pairs, validation, encoder, initial, progress)
        setup.damaged = damaged
        return setup

    @classmethod
    def _with_method(
        cls,
        config: TrainConfig,
        pairs: PairSet,
        validation: PairSet | None,
        encoder: DualEncoder,
        initial: DualEncoder | None,
        progress: bool,
    ) -> tuple[Self, Setup]:
        """Open the images and build the method.

        Args:
            config: the settings.
            pairs: the training source.
            validation: the validation source.
            encoder: the model to train.
            initial: the encoder before training, if `encoder` is another one.
            progress: show progress bars.
        """
        opened = None
        if validation is not None:  # before the training images, because a mistake costs less time here
            features = config.validation_features or config.image_features
            opened = validation, _open_images(config, validation, features, encoder, progress)
            usable_rows(*opened)
        images = _open_images(config, pairs, config.image_features, encoder, progress)
        _fit_new_projections(config, initial or encoder, pairs, images)
        method = make_method(config.method, config.options)
        inputs, method_setup = open_method_inputs(
            method,
            pairs,
            images,
            initial or encoder,
            labels=config.labels,
            image_teacher=config.image_teacher,
            text_teacher=config.text_teacher,
            triples=config.triples,
            word_dropout=config.word_dropout,
            seed=config.seed,
            progress=progress,
        )
        method.build(method_setup)
        return cls(pairs, images, encoder, method, inputs, opened), method_setup


def new_encoder(
    model: str,
    captions: Sequence[str],
    *,
    device: str,
    vocab_size: int = 4096,
    word_vectors: str | None = None,
    image_weights: str | None = None,
    pixel_norm: str = "clip",
    resize: str = "shortest",
    seed: int = 0,
) -> DualEncoder:
    """Load the model to train.

    Args:
        model: a spec of `load_encoder`. The following apply to NAME/none, a model with random weights.
        captions: texts on which its tokenizer is trained.
        device: 'auto', 'cpu', 'cuda[:n]' or 'mps'.
        vocab_size: size of this tokenizer; 0 uses the tokenizer of the architecture.
        word_vectors: folder with the initial token embeddings, see `set_word_vectors`.
        image_weights: safetensors file with the initial weights of the image tower.
        pixel_norm: 'clip', 'imagenet' or 'inception', the normalisation `image_weights` were trained with.
        resize: 'shortest' (with a centre crop) or 'squash'.
        seed: of the random weights.
    """
    require_trainable(model)
    own_tokenizer = None
    name, _, weights = model.partition("/")
    if weights == "none" and name in open_clip.list_models() and vocab_size:
        length = open_clip.get_model_config(name)["text_cfg"].get("context_length", 77)
        own_tokenizer = tokenizer.train(captions, vocab_size=vocab_size, context_length=length)
    encoder = load_encoder(
        model,
        device=device,
        tokenizer=own_tokenizer,
        image_weights=Path(image_weights) if image_weights else None,
        pixel_norm=pixel_norm,
        resize=resize,
        seed=seed,
        heads=False,
    )
    if word_vectors:
        set_word_vectors(encoder, Path(word_vectors))
    return encoder


def open_images(
    pairs: PairSet,
    encoder: DualEncoder,
    features: str | None = None,
    *,
    cache: bool = True,
    workers: int = 0,
    progress: bool = True,
) -> ImageRows:
    """Open the images of a source as the encoder takes them.

    Args:
        pairs: the source.
        encoder: its preprocessing, and its image trunk for cached features.
        features: None for pixels, 'cache' for features of the image trunk, 'source' for those of the source,
            FILE.safetensors:KEY or FILE.npy.
        cache: keep decoded pixels on disk instead of decoding the images at every access.
        workers: processes that decode images.
        progress: show a progress bar.

    Raises:
        PairscopeError: the features do not fit the source or the encoder.
    """
    if features is None and pairs.image_features is not None:
        raise SourceError(
            f"{pairs.source} has features in the place of images; train on them with --image-features source "
            "and a model for features, such as features-2048/none."
        )
    if features is None and not cache:
        return DecodedImages(pairs, encoder)
    if features is None:
        return cached_pixels(pairs, encoder, workers=workers, progress=progress)
    if features == "cache":
        return cached_features(pairs, encoder, workers=workers, progress=progress)
    if features == "source":
        stored, name = features_of_source(pairs), pairs.source
    else:
        stored, name = features_from_file(features, pairs), features
    check_width(encoder, stored.values.shape, name)
    return stored


def usable_rows(pairs: PairSet, images: ImageRows) -> np.ndarray:
    """Return the rows that have a caption and whose image is not known to be unusable, (n,) int64.

    Raises:
        SourceError: there is none.
    """
    rows = [row for row, texts in enumerate(pairs.captions) if texts and row not in images.unusable]
    if not rows:
        raise SourceError(
            f"{pairs.source} has no image with a caption that can be used: {len(pairs)} images, "
            f"{sum(map(bool, pairs.captions))} with captions, {len(images.unusable)} undecodable."
        )
    return np.array(rows)


def open_method_inputs(
    method: Method,
    pairs: PairSet,
    images: ImageRows,
    encoder: DualEncoder,
    *,
    labels: str = "auto",
    image_teacher: str | None = None,
    text_teacher: str | None = None,
    triples: str | None = None,
    word_dropout: float = 0.0,
    seed: int = 0,
    progress: bool = True,
) -> tuple[MethodInputs, Setup]:
    """Compute what the method needs of the source, once, and what `Method.build` may use.

    Args:
        method: its `needs` decide what is computed.
        pairs: the source.
        images: the images of the source.
        encoder: the model before training.
        labels: 'auto', 'source', 'concepts' or 'clusters', see `label_matrix`.
        image_teacher: see `open_teachers`.
        text_teacher: see `open_teachers`.
        triples: tab-separated file of related concepts.
        word_dropout: probability of removing each word of a generated positive.
        seed: of clusters and of the method's weights.
        progress: show progress bars.

    Raises:
        PairscopeError: something is missing or cannot be used, see `check_method_inputs`.
    """
    check_method_inputs(
        method,
        pairs,
        labels=labels,
        image_teacher=image_teacher,
        text_teacher=text_teacher,
        triples=triples,
        word_dropout=word_dropout,
    )
    inputs = MethodInputs(
        method,
        encoder.tokenizer,
        pairs.captions,
        false_captions=pairs.false_captions if method.needs & {"false_captions", "relevance"} else None,
        word_dropout=word_dropout,
    )
    label_names: list[str] = []

    def embed() -> tuple[np.ndarray, np.ndarray]:
        return embed_source(encoder, pairs, images)

    if "labels" in method.needs:
        from itr_core.supervision.labels import label_matrix

        label_names, inputs.labels = label_matrix(pairs, labels, embed, seed=seed)
    if "concepts" in method.needs:
        from itr_core.supervision.concept_graph import concept_graph

        inputs.concepts = concept_graph(pairs, Path(triples) if triples else None)
    if "teachers" in method.needs:
        from itr_core.features.teachers import open_teachers

        inputs.teachers = open_teachers(
            image_teacher, text_teacher, pairs, images, encoder, progress=progress
        )
    setup = Setup(
        dim=encoder.dim,
        captions=pairs.captions,
        triples=pairs.triples,
        labels=label_names,
        concepts=inputs.concepts,
        relevance=pairs.relevance,
        embed=embed,
        encode_texts=encoder.encode_texts,
        seed=seed,
    )
    return inputs, setup


def load_sources(config: TrainConfig) -> tuple[PairSet, PairSet | None]:
    """Load the training pairs and the validation pairs, and check what can be checked at once."""
    options = {name: getattr(config, name) for name in SOURCE_OPTIONS}
    pairs = load_pairs(config.source, **options, limit=config.limit)
    method = make_method(config.method, config.options)
    if (
        config.labels == "auto"
        and not any(pairs.labels or ())
        and preset_needs_labels(config.method, config.options)
    ):
        raise SourceError(
            f"preset={config.options['preset']!r} is a setting for data with labels, and {pairs.source} has "
            "none. Choose data with labels, or train on pseudo-labels with --labels concepts or --labels "
            "clusters."
        )
    checked = ("labels", "image_teacher", "text_teacher", "triples", "word_dropout")
    check_method_inputs(method, pairs, **{name: getattr(config, name) for name in checked})
    validation = None
    if config.validation:
        accepted = options_of(config.validation)
        own = {"columns": config.validation_columns, "image_root": config.validation_image_root}
        inherited = {name: value for name, value in options.items() if name in accepted}
        validation = load_pairs(
            config.validation, **inherited | {name: value for name, value in own.items() if value is not None}
        )
        if not any(validation.captions):
            raise SourceError(
                f"The validation source {config.validation} has no captions, so recall cannot be measured. "
                "Choose another one, or train without validation."
            )
    return pairs, validation


def _initial_encoder(config: TrainConfig, pairs: PairSet, device: str) -> DualEncoder:
    encoder = new_encoder(
        config.model,
        pairs.flat_captions()[0],
        device=device,
        vocab_size=config.vocab_size,
        word_vectors=config.word_vectors,
        image_weights=config.image_weights,
        pixel_norm=config.pixel_norm,
        resize=config.resize,
        seed=config.seed,
    )
    if "logit_bias" in make_method(config.method, config.options).needs:
        add_logit_bias(encoder)
    return encoder


def add_logit_bias(encoder: DualEncoder) -> None:
    """Give a model without a bias of the logits one, and set it and the temperature as SigLIP starts.

    Zhai et al. 2023, section 3.2: t' = log 10 and b = -10. The configuration of the encoder names both, so
    that open_clip creates the bias when it loads a checkpoint.
    """
    model = encoder.model
    if getattr(model, "logit_bias", None) is None:
        start = {"init_logit_scale": math.log(10), "init_logit_bias": -10.0}
        encoder.config["model_cfg"] |= start
        with torch.no_grad():
            model.logit_scale.fill_(start["init_logit_scale"])
        model.logit_bias = nn.Parameter(torch.full_like(model.logit_scale, start["init_logit_bias"]))


def _open_images(
    config: TrainConfig, pairs: PairSet, features: str | None, encoder: DualEncoder, progress: bool
) -> ImageRows:
    return open_images(
        pairs, encoder, features, cache=config.cache_images, workers=config.workers, progress=progress
    )


def _fit_new_projections(
    config: TrainConfig, encoder: DualEncoder, pairs: PairSet, images: ImageRows
) -> None:
    if config.image_features is not None and config.has_new_projections:
        rows = usable_rows(pairs, images)
        first, _ = images.read(rows[:1])
        features, _ = images.read(rows if first.ndim == 2 else rows[:1000])  # regions take much memory
        centre_image_projection(encoder, features)
    if config.joins_towers:
        scale_text_projection(encoder, pairs.flat_captions()[0][:SAMPLE])
