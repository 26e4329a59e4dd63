"""The training loop: trains a model with a method on a source and writes a checkpoint folder."""

import math
import os
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Self

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from itr_core.encoders import checkpoints
from itr_core.encoders.checksums import LAST, STATE
from itr_core.encoders.heads import Heads
from itr_core.errors import PairscopeError
from itr_core.features.image_rows import DecodedImages, ImageRows, encode_rows, encode_rows_with_patches
from itr_core.methods import make_method
from itr_core.pairs import PairSet
from itr_core.system.files import sweep, writing
from itr_core.system.memory import release_freed_memory
from itr_core.system.signals import stop_requested
from itr_core.system.workers import load_in_order
from itr_core.training.accelerator import deterministic, emulates_bf16, open_accelerator
from itr_core.training.batches import EpochPlan, LoadedBatch, PairBatchDataset
from itr_core.training.collapse import CollapseWatch
from itr_core.training.config import TrainConfig
from itr_core.training.distributed import broadcast_from_rank0, restarts_allowed
from itr_core.training.lora import merged_weights
from itr_core.training.metric_log import TrainingLog
from itr_core.training.setup import TrainingSetup, usable_rows
from itr_core.training.state import load_state, load_trainer_state, save_state
from itr_core.training.train_step import TrainStep
from itr_core.training.validation import score
from itr_core.vocabulary import words_of

LOG = "metrics.jsonl"
LOG_EVERY = 10  # steps


def train(
    method: str,
    source: str,
    *,
    model: str,
    out: str | Path,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Path:
    """Train a dual encoder and return its checkpoint folder.

    Started by torchrun, several processes share every batch (see `itr_core.training.distributed`). Without
    augmentation, dropout and batch norm, the gradients are those of a single process. The first process
    validates and writes.

    Args:
        method: training objective, a name in `itr_core.methods.METHODS`, or several joined by +.
        source: source of the training pairs, a spec of `load_pairs`. Images that cannot be decoded or have no
            caption are skipped and reported.
        model: model to train, a spec of `load_encoder`.
        out: folder of the checkpoint. It has the weights with the best rSum on `validation`, or the last ones
            without validation. `last` has the last weights, `metrics.jsonl` the metrics over the run,
            `state.safetensors` the state that `resume` needs and `state.previous.safetensors` the state saved
            before it.
        resume: continue the run that was stopped in `out`. On a CPU, with the same number of threads, the
            final weights are exactly those of a run that was not stopped. A run in `out` is also continued
            if torchrun may restart processes (--max-restarts): after a failure it repeats the same call.
        progress: show progress bars.
        settings: further fields of `TrainConfig`.

    Returns:
        `out`, as a path.

    Raises:
        PairscopeError: a setting, source, model or method cannot be used; `out` has another run; the loss is
            not finite; the disk is full. What was saved before is not damaged.
        KeyboardInterrupt: Ctrl-C or SIGTERM; raised after the state is saved.
    """
    config = TrainConfig(method=method, source=source, model=model, **settings)
    out = Path(out)
    resume = resume or (restarts_allowed() and (out / STATE).exists())
    if resume:
        config = config.resuming(load_trainer_state(out / STATE)["config"])
    elif (out / STATE).exists():
        raise PairscopeError(f"{out} holds a training run; resume it (--resume) or choose another folder.")
    config = config.with_rates()
    made = make_method(method, config.options)  # validates the options before data is loaded
    if config.local_loss and not made.has_shares:
        raise PairscopeError(
            f"local_loss: {method} with these options compares all pairs of a batch with each other, so its "
            "loss is no sum over rows that processes could share. Leave local_loss out, or train with siglip "
            "or with infonce without exact_negatives."
        )
    _check_writable(out)
    for folder, name in ((out.parent, out.name), (out, None), (out / LAST, None)):
        sweep(folder, name)
    with writing(out), open_accelerator(config, out) as accelerator, deterministic(accelerator.device):
        begin = Trainer.resume if resume else Trainer.start
        begin(config, out, accelerator, progress=progress).run()
    return out


class Trainer:
    """One training run, from its first step or its last saved state to its end."""

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        accelerator: Accelerator,
        setup: TrainingSetup,
        *,
        progress: bool,
    ) -> None:
        """Combine a setup with settings and devices; `start` and `resume` make the setup."""
        self.config, self.out, self.accelerator, self.progress = config, out, accelerator, progress
        self.pairs, self.validation = setup.pairs, setup.validation
        self.words = {word for texts in self.pairs.captions for text in texts for word in words_of(text)}
        self.train_step = TrainStep(config, setup.encoder, setup.method, accelerator)
        self.batches = PairBatchDataset(
            setup.images,
            self.pairs.captions,
            setup.encoder.tokenizer,
            EpochPlan(
                usable_rows(self.pairs, setup.images),
                config.batch_size,
                config.seed,
                config.keep_together,
                self.pairs.blocks if isinstance(setup.images, DecodedImages) else None,
            ),
            captions_per_image=config.captions_per_image,
            word_dropout=config.word_dropout,
            inputs=setup.inputs,
            shard=(accelerator.process_index, accelerator.num_processes),
        )
        self.undecodable = dict(setup.images.unusable)
        self.notes = [self.train_step.rates(), *setup.method.notes]
        if emulates_bf16(accelerator):
            self.notes.append(
                "This processor has no bf16 instructions: a step takes up to ten times as long as with "
                "precision=fp32 (--precision fp32)."
            )
        roles = setup.method.roles()
        if roles.concepts and not roles.extra_weight and not self.validation:
            self.notes.append(
                "Without validation data (--validation), which chooses its weight, the concept branch takes "
                "no part in retrieval (--options lambda_s=W sets a weight)."
            )
        steps = math.ceil(config.epochs * self.batches.plan.per_epoch / config.accumulate)
        self.total = config.max_steps or steps
        self.trainer_state: dict[str, Any] = {
            "config": config.as_json(),
            "source_sha256": self.pairs.fingerprint,
            "step": 0,
            "seconds": 0.0,
            "best": {},
            "start": {},
            "threads": torch.get_num_threads(),
        }
        self.watch = CollapseWatch(self.trainer_state["start"], config.model)

    @classmethod
    def start(cls, config: TrainConfig, out: Path, accelerator: Accelerator, *, progress: bool) -> Self:
        """Set up a new run and save its initial weights in `out`."""
        progress = progress and accelerator.is_main_process
        setup = TrainingSetup.start(config, str(accelerator.device), progress=progress)
        trainer = cls(config, out, accelerator, setup, progress=progress)
        broadcast_from_rank0(trainer.train_step.modules.values())
        trainer._save_checkpoint(out)
        return trainer

    @classmethod
    def resume(cls, config: TrainConfig, out: Path, accelerator: Accelerator, *, progress: bool) -> Self:
        """Restore the run that was stopped in `out`; raise PairscopeError if its data has changed."""
        progress = progress and accelerator.is_main_process
        setup = TrainingSetup.resume(config, out, str(accelerator.device), progress=progress)
        trainer = cls(config, out, accelerator, setup, progress=progress)
        stopped = load_trainer_state(out / STATE)
        if stopped["source_sha256"] != trainer.trainer_state["source_sha256"]:
            raise PairscopeError(
                f"The images or captions of {config.source} have changed since the run in {out} was started; "
                "a run can only resume with the same data."
            )
        load_state(out / STATE, trainer.train_step.modules, trainer.train_step.optimiser)
        threads = trainer.trainer_state["threads"]
        trainer.trainer_state |= stopped
        trainer.watch.start = trainer.trainer_state["start"]
        broadcast_from_rank0(trainer.train_step.modules.values())
        if accelerator.device.type == "cpu" and threads != trainer.trainer_state["threads"]:
            trainer.notes.append(
                f"The run was started with {trainer.trainer_state['threads']} threads and resumes with "
                f"{threads}: its weights can differ from those of an unstopped run in the last bits. For the "
                f"same bits, set OMP_NUM_THREADS={trainer.trainer_state['threads']}."
            )
        if setup.damaged:
            trainer.notes.append(
                f"The checkpoint {out} is damaged: {setup.damaged}. It is written again with the weights of "
                f"step {trainer.trainer_state['step']}, from the training state."
            )
            trainer.trainer_state["best"] = {}
            trainer._save_checkpoint(out)
        return trainer

    def run(self) -> None:
        """Train to the end; on Ctrl-C or SIGTERM, save the state and raise KeyboardInterrupt."""
        config, state = self.config, self.trainer_state
        start = state["step"]
        path = self.out / LOG if self.accelerator.is_main_process else Path(os.devnull)
        with (
            stop_requested() as stop,
            TrainingLog(path, self.accelerator, start=start, total=self.total, progress=self.progress) as log,
        ):
            self._begin(log)
            batches = self._load(start)
            pairs, seconds = 0, 0.0  # since the last entry of the log
            while state["step"] < self.total and not self._stop_anywhere(stop):
                before = time.monotonic()
                loaded = list(islice(batches, config.accumulate))
                values = self.train_step.update(loaded, state["step"], self.total)
                if not all(map(math.isfinite, values.values())):
                    self._fail(loaded, values, log)
                self.watch.add_loss(values["loss"])
                state["step"] += 1
                step, done = state["step"], state["step"] == self.total
                seconds += time.monotonic() - before
                pairs += sum(len(each.pairs.captions) for each in loaded) * self.accelerator.num_processes
                for each in loaded:
                    self.undecodable |= each.unusable
                if step % LOG_EVERY == 0 or done:
                    for unusable in gather_object([self.undecodable]):
                        self.undecodable |= unusable
                    log.write(step, **values, epoch=loaded[-1].epoch, pairs_per_s=round(pairs / seconds, 1))
                    log.show(loss=f"{values['loss']:.3f}", pairs_per_s=f"{pairs / seconds:,.0f}")
                    self._warn_of_collapse(step, log)
                    state["seconds"] += seconds
                    pairs, seconds = 0, 0.0
                    release_freed_memory()
                log.advance(step)
                if self.validation and (step % config.eval_every == 0 or done):
                    self._validate(*self.validation, log)
                if step % config.save_every == 0 or done:
                    self._save_state()
            if state["step"] < self.total:
                self._save_state()
                self.accelerator.wait_for_everyone()  # torchrun stops all processes when the first one ends
                raise KeyboardInterrupt(
                    f"Stopped after step {state['step']} of {self.total}; the state is saved. Repeat the "
                    "command with --resume to continue."
                )
            self._save_checkpoint(self.out / LAST if self.validation else self.out)
            for text in self._skipped():
                log.message(text)

    def _begin(self, log: TrainingLog) -> None:
        """Show the notes; at the start of a new run, validate the model before training."""
        for text in self.notes:
            log.message(text)
        if self.validation and self.trainer_state["step"] == 0:
            self._validate(*self.validation, log)

    def _load(self, step: int) -> Iterator[LoadedBatch]:
        """Load the batches from `step` on."""
        numbers = range(step * self.config.accumulate, self.total * self.config.accumulate)
        return load_in_order(self.batches, numbers, processes=self.config.workers)

    def _stop_anywhere(self, stop: threading.Event) -> bool:
        """Return whether any process received a stop signal, so that all stop after the same step."""
        if stop.is_set():
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def _validate(self, pairs: PairSet, images: ImageRows, log: TrainingLog) -> None:
        """Measure recall; save the weights if their rSum is the best so far."""
        if not self.accelerator.is_main_process:
            return
        model = self.train_step.model
        heads, candidates = self._heads(), usable_rows(pairs, images)
        if heads.roles.local is None:
            patches, (embeddings, rows) = None, encode_rows(model, images, candidates)
        else:
            embeddings, rows, patches = encode_rows_with_patches(model, images, candidates)
        usable_rows(pairs, images)  # raises if no image could be decoded
        metrics = score(model, embeddings, [pairs.captions[row] for row in rows], heads, patches)
        if "extra_weight" in metrics:
            self.trainer_state["extra_weight"] = metrics["extra_weight"]
        step = self.trainer_state["step"]
        log.write(step, **metrics)
        log.show(validation_rsum=f"{metrics['rsum']:.1f}")
        self.watch.add_validation(metrics["rsum"])
        if step == 0:
            log.message(f"Before training, the validation rSum is {metrics['rsum']:.1f}.")
        if metrics["rsum"] > self.trainer_state["best"].get("rsum", -1):
            self.trainer_state["best"] = metrics | {"step": step}
            self._save_checkpoint(self.out)

    def _warn_of_collapse(self, step: int, log: TrainingLog) -> None:
        """Show and record it if the run destroys weights that existed."""
        if self.config.has_new_projections:
            return
        if warning := self.watch.warning(step, self.config.rates()[0]):
            log.write(step, warning=warning)
            log.message(warning)

    def _skipped(self) -> list[str]:
        """Return the images of the source that are not trained on, with reasons."""
        without_caption = sum(not texts for texts in self.pairs.captions)
        named = [*self.pairs.notes, *(f"{name}: {reason}" for name, reason in self.pairs.skipped)]
        named += [
            f"{self.pairs.image_ids[row]}: {reason}" for row, reason in sorted(self.undecodable.items())
        ]
        return named + ([f"{without_caption} images have no caption."] if without_caption else [])

    def _fail(self, loaded: list[LoadedBatch], values: dict[str, float], log: TrainingLog) -> None:
        """Log the values that are not finite, with the images of the step, and raise PairscopeError."""
        rows = torch.cat([each.pairs.image_id for each in loaded]).tolist()
        names = gather_object([self.pairs.image_ids[row] for row in dict.fromkeys(rows)])
        step = self.trainer_state["step"] + 1
        log.write(step, **{name: str(value) for name, value in values.items()}, image_ids=names)
        self.accelerator.wait_for_everyone()
        raise PairscopeError(
            f"Step {step}: loss {values['loss']}, gradient norm {values['grad_norm']}, on a batch of the "
            f"images {', '.join(names[:5])}{', ...' if len(names) > 5 else ''} (all in {self.out / LOG}). "
            f"{self.out} has the last saved model. Try a lower lr, a longer warmup or precision fp32."
        )

    def _save_checkpoint(self, folder: Path) -> None:
        """Write the model as a checkpoint; other files in the folder stay."""
        if not self.accelerator.is_main_process:
            return
        model, heads = self.train_step.model, self._heads()
        if "extra_weight" in self.trainer_state:  # chosen by the last validation
            heads = heads.with_extra_weight(self.trainer_state["extra_weight"])
        record = self.trainer_state | {
            "device": str(model.device),
            "processes": self.accelerator.num_processes,
            "left_out": self._skipped(),
        }
        checkpoints.save(
            folder,
            model.model,
            model.tokenizer,
            model.config,
            weights=merged_weights(model.model),
            words=self.words,
            training=record,
            heads=heads,
            keep_others=True,
        )

    def _heads(self) -> Heads:
        method = self.train_step.method
        return Heads({name: value.cpu() for name, value in method.heads().items()}, method.roles())

    def _save_state(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        save_state(self.out / STATE, self.train_step.modules, self.train_step.optimiser, self.trainer_state)


def _check_writable(out: Path) -> None:
    """Raise PairscopeError if a folder cannot be written, before data and model are loaded."""
    exists = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not (exists.is_dir() and os.access(exists, os.W_OK)):
        raise PairscopeError(
            f"Cannot write to {out}: {exists} is {'write-protected' if exists.is_dir() else 'a file'}. "
            "Choose another folder with --out."
        )
