"""Every setting of a training run, with its type, range, default and description.

`pairscope train` and the page of training options are generated from the fields of `TrainConfig`.
"""

from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from itr_core.errors import PairscopeError, did_you_mean

# Settings that may change when a run resumes, because the weights do not depend on them.
_MAY_CHANGE = frozenset({"workers", "cache_images", "save_every", "trackers", "device"})
_RATES = ("lr", "image_lr_factor", "text_lr_factor")

# Annotation, or its origin -> what an error message calls it.
_TYPE_NAMES: dict[Any, str] = {
    bool: "True or False",
    dict: "a mapping with string keys",
    float: "a number",
    int: "an integer",
    str: "a string",
    tuple: "a list of strings",
    NoneType: "None",
}
_BOUND_NAMES = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


class TrainConfig(BaseModel):
    """Settings of `itr_core.training.train`.

    Raises:
        PairscopeError: an unknown setting, or a value of another type or outside its range.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    method: str
    """Training objective: a name in `itr_core.methods.METHODS`, or several joined by +."""
    source: str
    """Source of the training pairs, a spec of `load_pairs`."""
    model: str
    """Model to train, a spec of `load_encoder`. NAME/none has random weights and a tokenizer trained on the
    captions; towers:timm:NAME+hf:TEXT has two pretrained towers and random projections."""

    validation: str | None = None
    """Source whose rSum selects the best weights. Without one, the last weights are kept."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the method, as NAME=VALUE."""
    labels: Literal["auto", "source", "concepts", "clusters"] = "auto"
    """Labels, for methods that need them: those of the source, the concepts named in its captions, or
    clusters of its caption embeddings. auto takes the first of these that is available; with a preset of
    CRCGS, whose data sets have labels, only those of the source."""
    image_teacher: str | None = None
    """Image teacher, for methods that need teachers: timm:NAME, timm:NAME@FILE.safetensors, open_clip:SPEC or
    precomputed:FILE.safetensors:KEY. Default: 'features', the image features of the model before training or
    those of `image_features`."""
    text_teacher: str | None = None
    """Text teacher, for methods that need teachers: sentence-transformers:NAME (or a folder), open_clip:SPEC
    or precomputed:FILE.safetensors:KEY; after plain-text:, it reads captions in lower case and without
    punctuation, as in CUSA's code. Default: 'lsa', latent semantic analysis of the training captions."""
    triples: str | None = None
    """Tab-separated file of related concepts in ConceptNet's layout, for methods that need concepts."""
    limit: int | None = Field(default=None, gt=0)
    """Train on the first `limit` images only."""
    columns: dict[str, str | list[str]] | None = None
    """Column names of the source, in the format of `load_pairs`."""
    image_root: str | None = None
    """Folder of the images of the source, if it names image files."""
    exclude: tuple[str, ...] = ()
    """Files and folders of the source to leave out, such as '*.png', if it is a folder or an archive."""
    follow_links: bool = False
    """Also read what symbolic links of the source lead to."""
    max_megapixels: float | None = Field(default=None, gt=0)
    """Largest image that is read, in million pixels. Default: 50."""
    stream: bool = False
    """Do not download a data set of the hub: read its images when they are used."""
    validation_columns: dict[str, str | list[str]] | None = None
    """Column names of the validation source. Default: `columns`. In the same way, the other options of the
    source apply to the validation source, too, if this kind of source has them."""
    validation_image_root: str | None = None
    """Folder of the images of the validation source. Default: `image_root`."""
    image_weights: str | None = None
    """Safetensors file with the initial weights of the image tower of NAME/none."""
    pixel_norm: Literal["clip", "imagenet", "inception"] = "clip"
    """Mean and standard deviation of pixels that `image_weights` were trained with; inception scales pixels
    to [-1, 1]."""
    resize: Literal["shortest", "squash"] = "shortest"
    """How NAME/none makes images square: resize the shortest side and crop the centre, or squash the whole
    image."""
    word_vectors: str | None = None
    """Folder with words.txt and vectors.npy (n, k): initial token embeddings of NAME/none."""

    image_features: str | None = None
    """None: train on pixels. 'cache': encode the images once with the frozen image trunk and train the rest.
    'FILE.safetensors:KEY' or 'FILE.npy': train on features computed elsewhere, (n, f) or, of R regions,
    (n, R, f), in the order of the source. 'source': those of a source that has features in the place of
    images (precomp:, arrays:)."""
    validation_features: str | None = None
    """'FILE.safetensors:KEY' or 'FILE.npy' with the features of the validation source, where `image_features`
    is a file."""
    freeze_image: bool = False
    """Freeze the image tower, except for its last projection."""
    freeze_text: bool = False
    """Freeze the text tower, except for its last projection."""
    lora: int | None = Field(default=None, gt=0)
    """Rank of low-rank updates (LoRA): train only these, for every linear and attention layer of the towers
    that are not frozen, and the temperature; of `towers:` also the new projections. The checkpoint has the
    updated weights, in the usual layout."""
    freeze_batch_norm: bool = False
    """Keep the running statistics of batch norms; required for networks that were exported without them."""
    vocab_size: int = Field(default=4096, ge=0)
    """Vocabulary of the tokenizer that is trained on the captions for NAME/none; 0 uses the tokenizer of the
    architecture."""

    epochs: float = Field(default=30, gt=0)
    """Passes over the training images."""
    max_steps: int | None = Field(default=None, gt=0)
    """Number of optimiser steps, instead of `epochs`; the learning rate schedule has this length."""
    batch_size: int = Field(default=128, gt=0)
    """Images per batch."""
    captions_per_image: int = Field(default=1, gt=0)
    """Captions of each image in a batch, sampled again in every epoch."""
    keep_together: int = Field(default=1, gt=0)
    """This many images that follow each other in the source are always in the same batch; 2 for the twins of
    picturebook:train+twins. A divisor of `batch_size`."""
    encode_batch: int | None = Field(default=None, gt=0)
    """Images encoded at a time, with their captions, for batches whose activations do not fit into memory.
    The gradients are those of the whole batch, at the cost of a second forward pass; batch norms use the
    statistics of a part. Default: the whole batch."""
    local_loss: bool = False
    """With several processes (torchrun), each computes the loss of its own rows against the gathered rows of
    all. The gradients stay the same. Each of W processes computes 2/W of the similarities for infonce and 1/W
    for siglip; the losses of the other methods are no sums over rows."""
    accumulate: int = Field(default=1, gt=0)
    """Batches per optimiser step. Accumulation averages the gradients, but adds no negatives."""
    gradient_checkpointing: bool = False
    """Compute the activations of each transformer block again for its gradient instead of keeping them: large
    towers need less memory and about a third more time."""
    lr: float | None = Field(default=None, gt=0)
    """Peak learning rate of the projections and of the method's own weights. Default: 1e-3 for random weights
    (NAME/none and the projections of `towers:`), otherwise 1e-4 with `lora` and 1e-5 without, because a
    higher rate destroys weights that exist."""
    image_lr_factor: float | None = Field(default=None, ge=0)
    """Learning-rate multiplier of the image trunk. Default: 1; without `lr`, 0.5 for weights that exist, and
    0.01 for `image_weights` of NAME/none and for `towers:` (there 0.1 with `lora`)."""
    text_lr_factor: float | None = Field(default=None, ge=0)
    """Learning-rate multiplier of the text tower. Default: 1; without `lr`, 0.5 for weights that exist, and
    0.05 for `towers:` (0.1 with `lora`)."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the steps with a linearly rising learning rate; a half cosine then lowers it."""
    lr_floor: float = Field(default=0.0, ge=0, lt=1)
    """Where the half cosine ends, as a fraction of the peak; CUSA's code ends at 0.1."""
    temperature: float | None = Field(default=None, ge=0.01, le=10)
    """Fixed temperature of the contrastive losses. Default: it is learned, beginning with the model's own."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Weight decay of AdamW; not applied to norms, biases and temperatures (parameters with fewer than two
    dimensions)."""
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of AdamW's average of gradients."""
    adam_beta2: float = Field(default=0.98, ge=0, lt=1)
    """Decay of AdamW's average of squared gradients. 0.98 is CLIP's; 0.999 is torch's default."""
    clip: float = Field(default=1.0, gt=0, allow_inf_nan=True)
    """Maximum norm of the gradient; a longer gradient is scaled down to it."""
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Above 0, validate and save an exponential moving average of the weights; 0.999 averages over about
    1,000 steps."""

    crop: float = Field(default=0.1, ge=0, lt=1)
    """Maximum fraction of each side of a training image that a random crop removes."""
    flip: bool = False
    """Mirror each training image with probability 0.5; wrong where captions say left or right."""
    jitter: float = Field(default=0.0, ge=0, le=1)
    """Maximum relative change of brightness, contrast and saturation."""
    word_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of removing each word of a training caption."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Floating-point format; auto is bf16 on CUDA and fp32 elsewhere."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the best available device (CUDA_VISIBLE_DEVICES selects among several GPUs)."""
    workers: int = Field(default=0, ge=0)
    """Processes that load batches and decode images; 0 loads them in the training process."""
    cache_images: bool = True
    """Decode every image once and cache its pixels on disk (3 x H x W bytes), instead of decoding it in every
    epoch."""
    eval_every: int = Field(default=500, gt=0)
    """Steps between validations."""
    save_every: int = Field(default=500, gt=0)
    """Steps between saves of the training state, from which a stopped run resumes."""
    trackers: tuple[str, ...] = Field(default=(), strict=False)  # not strict: accepts lists
    """Experiment trackers to log to, by their names in accelerate: trackio, tensorboard, wandb, ..."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Random seed for weights, batches and augmentation."""

    def __init__(self, method: str, source: str, model: str, **settings: Any) -> None:
        given = {"method": method, "source": source, "model": model, **settings}
        try:
            super().__init__(**given)
        except ValidationError as error:
            names = dict.fromkeys(str(each["loc"][0]) for each in error.errors())
            raise PairscopeError(" ".join(_problem(name, given[name]) for name in names)) from None
        if self.batch_size % self.keep_together:
            raise PairscopeError(
                f"keep_together={self.keep_together}: must divide batch_size={self.batch_size}, so that no "
                "batch cuts a block."
            )

    def as_json(self) -> dict[str, Any]:
        """Return the settings as values that JSON can represent."""
        return self.model_dump(mode="json")

    @property
    def joins_towers(self) -> bool:
        """Whether the model is made of two pretrained towers, with random projections."""
        return self.model.startswith("towers:")

    @property
    def has_new_projections(self) -> bool:
        """Whether the model knows nothing of images and texts before the training."""
        return self.model.endswith("/none") or self.joins_towers

    def rates(self) -> tuple[float, float, float]:
        """Return `lr`, `image_lr_factor` and `text_lr_factor`, with the defaults of those that are not given.

        Weights that exist are changed less than new ones: a rate that suits random weights destroys them
        within the first steps.
        """
        new = self.model.endswith("/none")
        lr = 1e-3 if self.joins_towers else 1e-4 if self.lora else 1e-3 if new else 1e-5
        image = text = 1.0
        if self.lr is None and self.joins_towers:
            image, text = (0.1, 0.1) if self.lora else (0.01, 0.05)
        elif self.lr is None and not self.lora:
            image = 0.5 if not new else 0.01 if self.image_weights else 1.0
            text = 1.0 if new else 0.5
        return (
            lr if self.lr is None else self.lr,
            image if self.image_lr_factor is None else self.image_lr_factor,
            text if self.text_lr_factor is None else self.text_lr_factor,
        )

    def with_rates(self) -> Self:
        """Return the settings with all learning rates, as they are recorded."""
        return self.model_copy(update=dict(zip(_RATES, self.rates(), strict=True)))

    def resuming(self, stopped: dict[str, Any]) -> Self:
        """Return these settings, with the learning rates of the run that was stopped where none is given.

        Args:
            stopped: settings of that run. One that did not exist then counts as its default.

        Raises:
            PairscopeError: these settings would change that run.
        """
        theirs = TrainConfig(self.method, self.source, self.model).as_json() | stopped
        ours = self.model_copy(update={name: theirs[name] for name in _RATES if getattr(self, name) is None})
        changed = [
            f"{name} was {theirs[name]!r}, is {value!r}"
            for name, value in ours.as_json().items()
            if name not in _MAY_CHANGE and theirs[name] != value
        ]
        if changed:
            raise PairscopeError(
                f"A run can only resume with the settings it was started with: {'; '.join(changed)}. Repeat "
                "the first command with --resume, or start a new run from its model in another folder."
            )
        return ours


def value_range(name: str) -> str:
    """Describe the range of a numeric setting; empty if it has none.

    >>> value_range("crop")
    'at least 0 and below 1'
    """
    bounds = [
        f"{text} {getattr(bound, key)}"
        for bound in TrainConfig.model_fields[name].metadata
        for key, text in _BOUND_NAMES.items()
        if hasattr(bound, key)
    ]
    return " and ".join(bounds)


def _problem(name: str, value: object) -> str:
    """Return the error message for a setting: its name, its value and what is allowed."""
    if name not in TrainConfig.model_fields:
        return f"There is no setting {name!r}.{did_you_mean(name, TrainConfig.model_fields)}"
    annotation = TrainConfig.model_fields[name].annotation
    known = get_args(annotation) if get_origin(annotation) is Literal else ()
    similar = get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    return f"{name}={value!r}: must be {_allowed(annotation, value_range(name))}.{hint}"


def _allowed(annotation: Any, limits: str) -> str:
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(get_args(annotation))}"
    if isinstance(annotation, UnionType):
        return " or ".join(_allowed(each, limits) for each in get_args(annotation))
    text = _TYPE_NAMES[get_origin(annotation) or annotation]
    return f"{text} ({limits})" if limits and annotation in (int, float) else text
