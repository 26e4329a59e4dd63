"""One optimiser step: loss, gradients and update of the weights for one or more batches."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from itr_core.batch import EncoderOutput, PairBatch, TextOutput, map_tensors, repeat_images, split
from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.methods import Method
from itr_core.training.augmentation import augment
from itr_core.training.batches import LoadedBatch
from itr_core.training.config import TrainConfig
from itr_core.training.distributed import all_gather_rows, all_reduce_mean, own_rows
from itr_core.training.grad_cache import batch_norms, encode_in_chunks
from itr_core.training.lora import add_low_rank_updates
from itr_core.training.optimiser import Part, make_optimiser, parts_of, set_learning_rate
from itr_core.training.weight_average import moving_average

MAX_LOGIT_SCALE = math.log(100)
"""Limit of a learned scale: a larger one makes training unstable (CLIP, section 2.5). SigLIP, with a bias,
has no such limit."""


class TrainStep:
    """An encoder, a method and their optimiser, with the averages of the encoder's weights, if any.

    `modules` and `optimiser` are the whole state: all random numbers of a step depend only on the seed and on
    the step. Those of augmentation and dropout also depend on the process and on the part of the batch in
    which an image or caption is encoded; those of the method do not.
    """

    def __init__(
        self, config: TrainConfig, encoder: DualEncoder, method: Method, accelerator: Accelerator
    ) -> None:
        """Freeze what the settings freeze, and make the optimiser and the averages."""
        self.config, self.encoder, self.accelerator = config, encoder, accelerator
        self.frozen: set[Part] = set()
        self.without_matrix: set[Part] = set()
        """Towers that low-rank updates leave as they are, because they have no linear or attention layer."""
        if config.freeze_image or config.image_features is not None:
            self.frozen.add("image")
        if config.freeze_text:
            self.frozen.add("text")
        self._freeze()
        if config.gradient_checkpointing:
            encoder.model.set_grad_checkpointing()
        self.method = method.to(accelerator.device)
        lr, image_lr_factor, text_lr_factor = config.rates()
        self.optimiser = make_optimiser(
            encoder,
            self.method,
            lr=lr,
            image_lr_factor=image_lr_factor,
            text_lr_factor=text_lr_factor,
            weight_decay=config.weight_decay,
            betas=(config.adam_beta1, config.adam_beta2),
        )
        self.modules: dict[str, nn.Module] = {"encoder": encoder, "method": self.method}
        self.momentum: Any = None
        """The momentum encoder, where the method needs one."""
        if "momentum" in method.needs:
            update = get_ema_multi_avg_fn(method.momentum)
            self.momentum = self.modules["momentum"] = AveragedModel(encoder, multi_avg_fn=update).eval()
        self.average: Any = None
        """The exponential moving average of the encoder, with `ema_decay`."""
        if config.ema_decay:
            self.average = self.modules["average"] = moving_average(encoder, config.ema_decay)
        self.model: DualEncoder = self.average.module if self.average else encoder
        """The model that is validated and saved: the average of the weights, if there is one."""

    def _freeze(self) -> None:
        """Leave gradients to the weights that the settings train."""
        config, encoder = self.config, self.encoder
        if config.lora:
            trained: set[Part] = {"image", "text"}
            new: set[Part] = {"joint"} if config.joins_towers else set()
            parts = trained - self.frozen
            updated = add_low_rank_updates(encoder, config.lora, parts, config.seed, in_full=new)
            self.without_matrix = parts - updated
        if config.temperature:
            with torch.no_grad():
                encoder.model.logit_scale.fill_(-math.log(config.temperature))
            encoder.model.logit_scale.requires_grad_(False)
        part_of = parts_of(encoder)
        for name, weight in encoder.model.named_parameters():
            if part_of[name] in self.frozen:
                weight.requires_grad_(False)
        if "text" in self.frozen:
            encoder.text_tower.keep_outputs()

    def rates(self) -> str:
        """Describe the peak learning rates of the parts of the encoder."""
        lr, image, text = self.config.rates()
        factors: dict[Part, float] = {"image": image, "text": text}
        rates = [
            f"{part} tower "
            + (
                "not trained, because it has no linear or attention layer for lora"
                if part in self.without_matrix
                else "frozen"
                if part in self.frozen
                else f"{lr * factor:g}"
            )
            for part, factor in factors.items()
        ]
        return f"Learning rate {lr:g}, {', '.join(rates)}."

    def update(self, loaded: Sequence[LoadedBatch], step: int, total: int) -> dict[str, float]:
        """Run one step.

        Args:
            loaded: batches whose gradients are averaged.
            step: in [0, total).
            total: number of steps of the run.

        Returns:
            loss, the terms of the method, grad_norm, lr and temperature. If the loss, a term or the gradient
            norm is not finite, no weight was changed.
        """
        set_learning_rate(self.optimiser, step, total, self.config.warmup, self.config.lr_floor)
        self._set_train_mode()
        if self.momentum and not (self.method.momentum == 1 and self.momentum.n_averaged):
            self.momentum.update_parameters(self.encoder)
        values: dict[str, float] = {}
        for number, each in enumerate(loaded):
            terms = self._terms(each.pairs, step, number)
            loss = torch.stack([self.method.weights[name] * term for name, term in terms.items()]).sum()
            self.accelerator.backward(loss / len(loaded))
            terms = {name: term.detach() for name, term in {"loss": loss, **terms}.items()}
            if self.config.local_loss:
                all_reduce_mean(terms.values())
            for name, value in terms.items():
                values[name] = values.get(name, 0.0) + value.item() / len(loaded)
        weights = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        all_reduce_mean(weight.grad for weight in weights)
        in_training = [norm for norm in batch_norms(self.encoder) if norm.training]
        all_reduce_mean(value for norm in in_training for value in (norm.running_mean, norm.running_var))
        values["grad_norm"] = self.accelerator.clip_grad_norm_(weights, self.config.clip).item()
        scale: Any = self.encoder.model.logit_scale
        if all(map(math.isfinite, values.values())):
            self.optimiser.step()
            if scale.requires_grad and getattr(self.encoder.model, "logit_bias", None) is None:
                with torch.no_grad():
                    scale.clamp_(0, MAX_LOGIT_SCALE)
            if self.average:
                self.average.update_parameters(self.encoder)
        self.optimiser.zero_grad()
        rate = max(group["lr"] for group in self.optimiser.param_groups)
        return values | {"lr": rate, "temperature": math.exp(-scale.item())}

    def _set_train_mode(self) -> None:
        self.encoder.train()
        model: Any = self.encoder.model
        if "image" in self.frozen:
            model.visual.eval()
            if hasattr(model.visual, "head"):
                model.visual.head.train()
        if "text" in self.frozen:
            (model.text if hasattr(model, "text") else model.transformer).eval()
        if self.config.freeze_batch_norm:
            for norm in batch_norms(self.encoder):
                norm.eval()

    def _terms(self, pairs: PairBatch, step: int, number: int) -> dict[str, Tensor]:
        """Return the method's terms for batch `number` of a step; `pairs` is the part of this process."""

        def encode(part: PairBatch, index: int) -> EncoderOutput:
            self._seed(step, number, 1 + self.accelerator.process_index, index)
            return self._encode(map_tensors(part, self._to_device))

        parts = split(pairs, self.config.encode_batch or len(pairs.captions))
        out = encode_in_chunks(encode, parts, self.encoder) if len(parts) > 1 else encode(pairs, 0)
        inputs = map_tensors(replace(pairs, image=None, image_features=None), self._to_device)
        local_loss = self.config.local_loss
        out, inputs = all_gather_rows(out, local_loss=local_loss), all_gather_rows(inputs)
        self._seed(step, number, 0)
        if not local_loss:
            return self.method(out, inputs)
        share = self.method.share(out, inputs, own_rows(len(pairs.captions)))
        return {name: self.accelerator.num_processes * term for name, term in share.items()}

    def _seed(self, *key: int) -> None:
        set_seed(int(np.random.SeedSequence([self.config.seed, *key]).generate_state(1)[0]))

    def _to_device(self, value: Tensor) -> Tensor:
        return value.to(self.encoder.device, non_blocking=True)

    def _encode(self, batch: PairBatch) -> EncoderOutput:
        """Return all embeddings that the method needs, in float32, each image repeated for its captions."""
        tokens, pixels = "tokens" in self.method.needs, batch.image
        if pixels is not None:
            config = self.config
            pixels = augment(pixels / 255, crop=config.crop, flip=config.flip, jitter=config.jitter)
            pixels = self.encoder.normalise(pixels).contiguous(memory_format=self.encoder.layout)
        inputs = pixels, batch.text, batch.image_features
        with self.accelerator.autocast():
            out = self.encoder(*inputs, tokens=tokens)
            positive = self._encode_text(batch.positive_text, tokens)
            negative = self._encode_text(batch.negative_text, tokens)
            with torch.no_grad():  # last: the second pass of gradient caching stops before it
                keys = self.momentum.module(*inputs) if self.momentum else None
        out = replace(out, positive=positive, negative=negative, momentum=keys)
        return repeat_images(map_tensors(out, _as_float32), self.config.captions_per_image)

    def _encode_text(self, ids: Tensor | None, tokens: bool) -> TextOutput | None:
        if ids is None:
            return None
        if not tokens:
            return TextOutput(self.encoder.embed_text(ids))
        return TextOutput(*self.encoder.embed_text_tokens(ids))


def _as_float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
