"""The training loop: a method, a source and a model make a checkpoint folder in open_clip's layout."""

import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import SafetensorError
from torch.utils.data import DataLoader

from itr_core.encoders import checkpoints, tokenizer
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import PairscopeError
from itr_core.features.image_rows import ImageRows, encode_rows, identity_collate
from itr_core.methods import make_method
from itr_core.pairs import PairSet
from itr_core.system.memory import release_freed_memory
from itr_core.system.signals import leave_signals_to_parent, stop_requested
from itr_core.training.accelerator import deterministic, open_accelerator
from itr_core.training.batches import EpochPlan, LoadedBatch, PairBatchDataset
from itr_core.training.config import TrainConfig
from itr_core.training.distributed import broadcast_from_rank0
from itr_core.training.metric_log import TrainingLog
from itr_core.training.setup import (
    centre_projection,
    new_encoder,
    open_images,
    open_pairs,
    open_supplies,
    usable_rows,
)
from itr_core.training.state import load_facts, load_state, save_state
from itr_core.training.train_step import TrainStep
from itr_core.training.validation import score

STATE, LOG, LAST = "state.safetensors", "metrics.jsonl", "last"
LOG_EVERY = 10


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
    """Train `model` by `method` on the pairs of `source` and return `out`, a checkpoint folder.

    `settings` are the fields of `TrainConfig`. `out` holds the weights that did best on `validation` (without
    one, the last), `out/last` the last ones, `out/metrics.jsonl` the course of the run and
    `out/state.safetensors` what `resume=True` needs to go on after a crash or Ctrl-C; on a CPU the resumed
    run ends with the very weights of an unbroken one. Images that cannot be decoded or have no caption are
    left out and reported.

    Started by torchrun, the processes share every batch (`itr_core.training.distributed`): without augmentation, dropout
    and batch norm, the gradients are those of a single process. The first process validates and writes.

    Raises:
        PairscopeError: a bad setting, source, model or method; `out` holds another run; a loss that is not
            finite; a full disk. What was saved before stays whole.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once the state is saved.
    """
    config = TrainConfig(method=method, source=source, model=model, **settings)
    out = Path(out)
    if resume:
        config.check_resumes(load_facts(out / STATE)["config"])
    elif (out / STATE).exists():
        raise PairscopeError(f"{out} holds a training run; resume it (--resume) or choose another folder.")
    make_method(method, config.options)  # a slip of the pen should not wait for the data
    with open_accelerator(config, out) as accelerator, deterministic(accelerator.device):
        Trainer(config, out, accelerator, resume=resume, progress=progress).go()
    return out


class Trainer:
    """One run, from its beginning or its last saved state to its end."""

    def __init__(
        self, config: TrainConfig, out: Path, accelerator: Accelerator, *, resume: bool, progress: bool
    ) -> None:
        progress = progress and accelerator.is_main_process
        self.config, self.out, self.accelerator, self.progress = config, out, accelerator, progress
        self.pairs = open_pairs(config, config.source, config.limit)
        self.words = {
            word for texts in self.pairs.captions for text in texts for word in tokenizer.words_of(text)
        }
        device = str(accelerator.device)
        encoder = (
            load_encoder(f"local-dir:{out}", device=device)
            if resume
            else new_encoder(config, self.pairs, device)
        )
        images = open_images(config, self.pairs, config.image_features, encoder, progress)
        if not resume:
            centre_projection(config, encoder, self.pairs, images)
        method = make_method(config.method, config.options)
        start = encoder
        if resume and method.needs & {"labels", "teachers"}:  # made by the model as it was before training
            start = new_encoder(config, self.pairs, device)
            centre_projection(config, start, self.pairs, images)
        supplies, setup = open_supplies(config, method, self.pairs, images, start, progress)
        method.build(setup)
        if not resume:
            method.prepare(setup)
        self.learner = TrainStep(config, encoder, method, accelerator)
        self.batches = PairBatchDataset(
            images,
            self.pairs.captions,
            encoder.tokenizer,
            EpochPlan(usable_rows(self.pairs, images), config.batch_size, config.seed),
            captions_per_image=config.captions_per_image,
            word_dropout=config.word_dropout,
            supplies=supplies,
            part=(accelerator.process_index, accelerator.num_processes),
        )
        self.undecodable = dict(images.unusable)
        self.validation: tuple[PairSet, ImageRows] | None = None
        if config.validation:
            pairs = open_pairs(config, config.validation)
            features = config.validation_features or config.image_features
            self.validation = pairs, open_images(config, pairs, features, encoder, progress)

        whole = math.ceil(config.epochs * self.batches.plan.per_epoch / config.accumulate)
        self.total = config.max_steps or whole
        self.facts: dict[str, Any] = {"config": config.as_json(), "source_sha256": self.pairs.fingerprint}
        self.facts |= {"step": 0, "seconds": 0.0, "best": {}}
        if resume:
            self._restore()
        broadcast_from_rank0(self.learner.modules.values())
        if not resume:
            self._keep(out)

    def go(self) -> None:
        """Train to the end; on Ctrl-C save the state and raise KeyboardInterrupt."""
        config, facts, start = self.config, self.facts, self.facts["step"]
        told = self.out / LOG if self.accelerator.is_main_process else Path(os.devnull)
        with (
            stop_requested() as stop,
            TrainingLog(told, self.accelerator, start=start, total=self.total, progress=self.progress) as log,
        ):
            batches = iter(self._loader(start))
            pairs, seconds = 0, 0.0
            while facts["step"] < self.total and not self._anyone(stop):
                before = time.monotonic()
                loaded = list(islice(batches, config.accumulate))
                values = self.learner.update(loaded, facts["step"], self.total)
                if not all(map(math.isfinite, values.values())):
                    self._give_up(loaded, values, log)
                facts["step"] += 1
                step, done = facts["step"], facts["step"] == self.total
                seconds += time.monotonic() - before
                pairs += sum(len(each.pairs.captions) for each in loaded) * self.accelerator.num_processes
                for each in loaded:
                    self.undecodable |= each.unusable
                if step % LOG_EVERY == 0 or done:
                    for unusable in gather_object([self.undecodable]):
                        self.undecodable |= unusable
                    log.write(step, **values, epoch=loaded[-1].epoch, pairs_per_s=round(pairs / seconds, 1))
                    log.news(loss=f"{values['loss']:.3f}", pairs_per_s=f"{pairs / seconds:,.0f}")
                    facts["seconds"] += seconds
                    pairs, seconds = 0, 0.0
                    release_freed_memory()
                log.advance(step)
                if self.validation and (step % config.eval_every == 0 or done):
                    self._validate(*self.validation, log)
                if step % config.save_every == 0 or done:
                    self._save_state()
            if facts["step"] < self.total:
                self._save_state()
                self.accelerator.wait_for_everyone()  # torchrun ends all as soon as one ends
                raise KeyboardInterrupt(
                    f"Stopped after step {facts['step']} of {self.total}; the state is saved. Repeat the "
                    "command with --resume to go on."
                )
            self._keep(self.out / LAST if self.validation else self.out)
            for text in self._left_out():
                log.say(text)

    def _loader(self, step: int) -> DataLoader:
        each = self.config.accumulate
        return DataLoader(
            self.batches,
            sampler=range(step * each, self.total * each),
            batch_size=None,
            collate_fn=identity_collate,
            num_workers=self.config.workers,
            worker_init_fn=leave_signals_to_parent,
        )

    def _anyone(self, stop: threading.Event) -> bool:
        """Whether any process was asked to stop: then all do, at the same step."""
        if stop.is_set():
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def _validate(self, pairs: PairSet, images: ImageRows, log: TrainingLog) -> None:
        if not self.accelerator.is_main_process:
            return
        model = self.learner.model
        embeddings, rows = encode_rows(model, images, usable_rows(pairs, images))
        figures = score(model, embeddings, [pairs.captions[row] for row in rows])
        step = self.facts["step"]
        log.write(step, **figures)
        log.news(validation_rsum=f"{figures['rsum']:.1f}")
        if figures["rsum"] > self.facts["best"].get("rsum", -1):
            self.facts["best"] = figures | {"step": step}
            self._keep(self.out)

    def _left_out(self) -> list[str]:
        """What of the source was not trained on, and why."""
        silent = sum(not texts for texts in self.pairs.captions)
        named = [f"{name}: {reason}" for name, reason in self.pairs.skipped]
        named += [
            f"{self.pairs.image_ids[row]}: {reason}" for row, reason in sorted(self.undecodable.items())
        ]
        return named + ([f"{silent} images have no caption."] if silent else [])

    def _give_up(self, loaded: list[LoadedBatch], values: dict[str, float], log: TrainingLog) -> None:
        rows = torch.cat([each.pairs.image_id for each in loaded]).tolist()
        names = gather_object([self.pairs.image_ids[row] for row in dict.fromkeys(rows)])
        step = self.facts["step"] + 1
        log.write(step, **{name: str(value) for name, value in values.items()}, image_ids=names)
        self.accelerator.wait_for_everyone()
        raise PairscopeError(
            f"Step {step}: loss {values['loss']}, gradient norm {values['grad_norm']}, on a batch of the "
            f"images {', '.join(names[:5])}{', ...' if len(names) > 5 else ''} (all in {self.out / LOG}). "
            f"{self.out} keeps the last good model. Try a lower lr, a longer warmup or precision fp32."
        )

    def _keep(self, folder: Path) -> None:
        """Write the model as a checkpoint, file by file: what else the folder holds stays."""
        if not self.accelerator.is_main_process:
            return
        model = self.learner.model
        record = {**self.facts, "device": str(model.device), "processes": self.accelerator.num_processes}
        record["left_out"] = self._left_out()
        heads = self.learner.method.heads()
        with _writing(folder), tempfile.TemporaryDirectory(dir=folder) as scratch:
            new = Path(scratch) / folder.name
            checkpoints.save(
                new,
                model.model,
                model.tokenizer,
                model.config,
                words=self.words,
                training=record,
                heads=heads,
            )
            for file in new.iterdir():
                file.replace(folder / file.name)

    def _save_state(self) -> None:
        if not self.accelerator.is_main_process:
            return
        with _writing(self.out):
            save_state(self.out / STATE, self.learner.modules, self.learner.optimiser, self.facts)

    def _restore(self) -> None:
        facts = load_facts(self.out / STATE)
        if facts["source_sha256"] != self.facts["source_sha256"]:
            raise PairscopeError(
                f"{self.config.source} has other images or captions than when the run in {self.out} began; "
                "a resumed run must go on with the same data."
            )
        load_state(self.out / STATE, self.learner.modules, self.learner.optimiser)
        self.facts = facts


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, SafetensorError) as error:
        raise PairscopeError(
            f"Cannot write to {folder}: {error}. What was saved there before is whole; make room and repeat "
            "the command with --resume."
        ) from error
