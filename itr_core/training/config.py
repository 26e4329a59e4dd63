"""Every setting of a training run."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from itr_core.errors import PairscopeError

# What may differ when a run is resumed: nothing here touches the weights.
_FREE = frozenset({"workers", "cache_images", "save_every", "trackers", "device"})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `itr_core.training.train`; shares and probabilities are in [0, 1]."""

    method: str
    """Training objective, a name of `itr_core.methods.METHODS`, or several joined by +."""
    source: str
    """Where the training pairs come from, a spec of `load_pairs`."""
    model: str
    """What to train, a spec of `load_encoder`; NAME/none starts from nothing, with a tokenizer of its own."""

    validation: str | None = None
    """Source by whose rSum the best weights are chosen; without one the last weights are kept."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of the method, as name=value."""
    labels: Literal["auto", "source", "concepts", "clusters"] = "auto"
    """For methods that need labels: the source's own, the concepts that its captions name, or clusters of
    its embeddings; auto takes the first of these that there is."""
    image_teacher: str | None = None
    """For methods that need teachers, what the images are like: timm:NAME, timm:NAME@FILE.safetensors,
    open_clip:SPEC or precomputed:FILE.safetensors:KEY; by default 'features', those of the model before
    training or of `image_features`."""
    text_teacher: str | None = None
    """The same for captions: sentence-transformers:NAME (or a folder), open_clip:SPEC or
    precomputed:FILE.safetensors:KEY; by default 'lsa', of the captions themselves."""
    triples: str | None = None
    """For methods that need concepts: a tab-separated file of related concepts (ConceptNet's layout)."""
    limit: int | None = None
    """Use only so many training images, the first ones."""
    columns: dict[str, str] | None = None
    """Column names of both sources, as `load_pairs` takes them."""
    image_root: str | None = None
    """Folder of the images of both sources, as `load_pairs` takes it."""
    image_weights: str | None = None
    """Safetensors file that the image tower of NAME/none starts from."""
    pixel_norm: Literal["clip", "imagenet", "inception"] = "clip"
    """Mean and deviation of pixels that those weights know; inception means inputs in [-1, 1]."""
    resize: Literal["shortest", "squash"] = "shortest"
    """How NAME/none makes photos square: crop the middle, or squash them whole."""
    word_vectors: str | None = None
    """Folder with words.txt and vectors.npy (n, k), which the token embeddings of NAME/none start from."""

    image_features: str | None = None
    """None: train on pixels. 'cache': encode the images once with the frozen image trunk and train the rest.
    'FILE.safetensors:KEY': the same on features made elsewhere, rows in the order of the source."""
    validation_features: str | None = None
    """'FILE.safetensors:KEY' for the validation source, where `image_features` names a file."""
    freeze_image: bool = False
    """Leave the image tower as it is, except for its last projection."""
    freeze_batch_norm: bool = False
    """Batch norms keep the statistics they come with; needed by networks delivered without any."""
    vocab_size: int = 4096
    """Of the tokenizer that NAME/none trains on the captions; 0 takes the architecture's own instead."""

    epochs: float = 30
    """Passes over the training images."""
    max_steps: int | None = None
    """Stop after so many steps instead; the learning rate follows."""
    batch_size: int = 128
    """Images per batch."""
    captions_per_image: int = 1
    """Captions of each image in a batch, drawn anew in every epoch."""
    encode_batch: int | None = None
    """Images encoded at a time, with their captions: for batches whose activations do not fit. Gradients stay
    those of the whole batch (batch norms, however, see a part), one more forward pass is the price."""
    accumulate: int = 1
    """Batches per optimiser step. More of them smooth the gradient, but add no negatives."""
    lr: float = 1e-3
    """Peak learning rate, of the projections and the method's own weights."""
    image_lr_factor: float = 1.0
    """Times `lr`: the image trunk's."""
    text_lr_factor: float = 1.0
    """Times `lr`: the text tower's."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises; a half cosine takes it to zero from there."""
    weight_decay: float = 0.1
    """Of AdamW; spares norms, biases and temperatures: whatever has fewer than two dimensions."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.0
    """Above 0, validate and keep an exponential average of the weights; 0.999 remembers some 1,000 steps."""

    crop: float = 0.1
    """Cut away up to this share of each side of a training image."""
    flip: bool = False
    """Mirror half of the training images; wrong where captions say left or right."""
    jitter: float = 0.0
    """Largest relative change of brightness, contrast and saturation."""
    word_dropout: float = 0.0
    """Probability with which a word is left out of a training caption."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on CUDA, fp32 elsewhere."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the best there is (CUDA_VISIBLE_DEVICES chooses among several)."""
    workers: int = 0
    """Processes that load batches and prepare images; 0 does it in the training process."""
    cache_images: bool = True
    """Decode every image once and keep its pixels on disk (3 x H x W bytes), instead of in every epoch."""
    eval_every: int = 500
    """Steps between validations."""
    save_every: int = 500
    """Steps between saved states, from which a stopped run resumes."""
    trackers: tuple[str, ...] = ()
    """Also log to these, by the names of accelerate's `log_with`: trackio, tensorboard, wandb, ..."""
    seed: int = 0
    """Of the weights, the batches and all other chance."""

    def __post_init__(self) -> None:
        positive = (
            "epochs",
            "batch_size",
            "captions_per_image",
            "accumulate",
            "lr",
            "clip",
            "eval_every",
            "save_every",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise PairscopeError(f"{name}={getattr(self, name)}: must be above 0.")
        if self.encode_batch is not None and self.encode_batch <= 0:
            raise PairscopeError(
                f"encode_batch={self.encode_batch}: must be above 0, or None for all at once."
            )
        for name, known in (("precision", ("auto", "fp32", "bf16")), ("device", ("auto", "cpu"))):
            if getattr(self, name) not in known:
                raise PairscopeError(f"{name}={getattr(self, name)!r}: must be one of {', '.join(known)}.")
        for name in ("crop", "word_dropout", "ema_decay", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise PairscopeError(f"{name}={getattr(self, name)}: must be at least 0 and below 1.")

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they come back from a JSON file."""
        return json.loads(json.dumps(asdict(self)))

    def check_resumes(self, stopped: dict[str, Any]) -> None:
        """Raise PairscopeError if a run stopped with the settings `stopped` would go on as another run."""
        ours = self.as_json()
        usual = TrainConfig(self.method, self.source, self.model).as_json()
        theirs = usual | stopped  # of before a setting existed
        changed = [
            f"{name} was {theirs[name]!r}, is {ours[name]!r}"
            for name in ours
            if name not in _FREE and theirs[name] != ours[name]
        ]
        if changed:
            raise PairscopeError(
                f"A resumed run must go on as it began: {'; '.join(changed)}. Repeat the first command with "
                "--resume, or start a new run in another folder from the model that this one made."
            )
