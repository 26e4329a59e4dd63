"""One optimiser step: batches in, weights changed, numbers out."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from itr_core.batch import EncoderOutput, PairBatch, TextOutput, each_tensor, split
from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.features.image_rows import trunk_state
from itr_core.methods import Method
from itr_core.training.augmentation import augment
from itr_core.training.batches import LoadedBatch
from itr_core.training.config import TrainConfig
from itr_core.training.distributed import all_gather_rows, all_reduce_mean
from itr_core.training.grad_cache import batch_norms, encode_in_chunks
from itr_core.training.optimiser import make_optimiser, set_learning_rate

MAX_LOGIT_SCALE = math.log(100)  # CLIP, section 2.5: a higher one makes training unstable


class TrainStep:
    """An encoder with what changes it: method, optimiser, and the averages of its weights if any are kept.

    `modules` and `optimiser` are all the state there is: what is random in a step depends on the seed and the
    step's number alone. What happens to an image or a caption (augmentation, dropout) also depends on which
    of several processes encodes it, in which part of its batch; what a method draws does not.
    """

    def __init__(
        self, config: TrainConfig, encoder: DualEncoder, method: Method, accelerator: Accelerator
    ) -> None:
        self.config, self.encoder, self.accelerator = config, encoder, accelerator
        self.frozen = config.freeze_image or config.image_features is not None
        if self.frozen:
            for value in trunk_state(encoder).values():
                value.requires_grad_(False)
        self.method = method.to(accelerator.device)
        self.optimiser = make_optimiser(encoder, self.method, config)
        self.modules: dict[str, nn.Module] = {"encoder": encoder, "method": self.method}
        self.momentum: Any = None
        if "momentum" in method.needs:
            following = get_ema_multi_avg_fn(method.momentum)
            self.momentum = self.modules["momentum"] = AveragedModel(encoder, multi_avg_fn=following).eval()
        self.average: Any = None
        if config.ema_decay:
            averaging = get_ema_multi_avg_fn(config.ema_decay)
            self.average = self.modules["average"] = AveragedModel(encoder, multi_avg_fn=averaging)
        self.model: DualEncoder = self.average.module if self.average else encoder
        """What is validated and kept: the average of the weights where there is one."""

    def update(self, loaded: Sequence[LoadedBatch], step: int, total: int) -> dict[str, float]:
        """Take step number `step` of `total`; return loss, its terms, gradient norm, rate and temperature.

        Where a loss or the gradient is not finite, no weight has changed.
        """
        set_learning_rate(self.optimiser, step, total, self.config.warmup)
        self._train_mode()
        if self.momentum:
            self.momentum.update_parameters(self.encoder)
        values: dict[str, float] = {}
        for number, each in enumerate(loaded):
            terms = self._terms(each.pairs, step, number)
            loss = torch.stack([self.method.weights[name] * term for name, term in terms.items()]).sum()
            self.accelerator.backward(loss / len(loaded))
            for name, value in {"loss": loss, **terms}.items():
                values[name] = values.get(name, 0.0) + value.item() / len(loaded)
        weights = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        all_reduce_mean(weight.grad for weight in weights)
        learning = [norm for norm in batch_norms(self.encoder) if norm.training]
        all_reduce_mean(value for norm in learning for value in (norm.running_mean, norm.running_var))
        values["grad_norm"] = self.accelerator.clip_grad_norm_(weights, self.config.clip).item()
        scale: Any = self.encoder.model.logit_scale
        if all(map(math.isfinite, values.values())):
            self.optimiser.step()
            with torch.no_grad():
                scale.clamp_(0, MAX_LOGIT_SCALE)
            if self.average:
                self.average.update_parameters(self.encoder)
        self.optimiser.zero_grad()
        rate = max(group["lr"] for group in self.optimiser.param_groups)
        return values | {"lr": rate, "temperature": math.exp(-scale.item())}

    def _train_mode(self) -> None:
        self.encoder.train()
        visual: Any = self.encoder.model.visual
        if self.frozen:
            visual.eval()
            if hasattr(visual, "head"):
                visual.head.train()
        if self.config.freeze_batch_norm:
            for norm in batch_norms(self.encoder):
                norm.eval()

    def _terms(self, pairs: PairBatch, step: int, number: int) -> dict[str, Tensor]:
        """Return the method's terms for batch `number` of a step; `pairs` is this process's part of it."""

        def encode(part: PairBatch, place: int) -> EncoderOutput:
            self._seed(step, number, 1 + self.accelerator.process_index, place)
            return self._encode(each_tensor(part, self._on_device))

        parts = split(pairs, self.config.encode_batch or len(pairs.captions))
        out = encode_in_chunks(encode, parts, self.encoder) if len(parts) > 1 else encode(pairs, 0)
        known = each_tensor(replace(pairs, image=None, image_features=None), self._on_device)
        out, known = all_gather_rows(out), all_gather_rows(known)
        self._seed(step, number, 0)
        return self.method(out, known)

    def _seed(self, *place: int) -> None:
        set_seed(int(np.random.SeedSequence([self.config.seed, *place]).generate_state(1)[0]))

    def _on_device(self, value: Tensor) -> Tensor:
        return value.to(self.encoder.device, non_blocking=True)

    def _encode(self, batch: PairBatch) -> EncoderOutput:
        """Embed a batch or a part of it, in all the ways that the method needs."""
        tokens, pixels = "tokens" in self.method.needs, batch.image
        if pixels is not None:
            config = self.config
            pixels = augment(pixels / 255, crop=config.crop, flip=config.flip, jitter=config.jitter)
            pixels = self.encoder.normalise(pixels).contiguous(memory_format=self.encoder.layout)
        inputs = pixels, batch.text, batch.image_features
        with self.accelerator.autocast():
            out = self.encoder(*inputs, tokens=tokens)
            positive = self._texts(batch.positive_text, tokens)
            negative = self._texts(batch.negative_text, tokens)
            with torch.no_grad():  # last: a second pass ends where no more gradients come from
                keys = self.momentum.module(*inputs) if self.momentum else None
        out, keys = self._rows(out), keys and self._rows(keys)
        return replace(out, positive=positive, negative=negative, momentum=keys)

    def _texts(self, ids: Tensor | None, tokens: bool) -> TextOutput | None:
        if ids is None:
            return None
        if not tokens:
            return TextOutput(self.encoder.embed_text(ids).float())
        text, words, mask = self.encoder.embed_text_tokens(ids)
        return TextOutput(text.float(), words.float(), mask)

    def _rows(self, out: EncoderOutput) -> EncoderOutput:
        """The same in float32, in which losses are computed, each image beside each of its captions."""
        parts = {field.name: getattr(out, field.name) for field in fields(out)}
        for name, value in parts.items():
            if value is not None and value.is_floating_point():
                value = value.float()
                parts[name] = (
                    value.repeat_interleave(self.config.captions_per_image, 0) if "image" in name else value
                )
        return EncoderOutput(**parts)
