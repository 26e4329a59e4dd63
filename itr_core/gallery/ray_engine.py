"""Encode a gallery on the machines of a Ray cluster, with Ray Data.

The dataset has one row per shard: its number, a reference to a range of the source. An actor per GPU, or per
machine without GPUs, reads the images of a shard, encodes them and writes the shard
(`itr_core.gallery.shards`). No images or embeddings pass between machines, so memory does not grow with the
source. All machines must see the folders of the source and of the gallery under the same paths.

Ray starts the actor of a lost machine again on another one as soon as that has no more work, and the actor
encodes the lost shard anew.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import GalleryError, PairscopeError, reason_of
from itr_core.gallery.content import Content
from itr_core.gallery.image_workers import prepared_in_threads, preparing_processes
from itr_core.gallery.shards import Shards
from itr_core.gallery.unit_encoder import UNIT, UnitEncoder
from itr_core.system.progress import Progress

if TYPE_CHECKING:
    from itr_core.encoders.encoder import Encoder
    from itr_core.pairs import PairSet

ATTEMPTS = 5
"""Times that a shard is begun. Otherwise an image at which the process ends would be tried for ever."""
_RESUME = "Repeat the command to resume."


@dataclass(frozen=True)
class RayEngine:
    """Settings of a build on a Ray cluster.

    Args:
        address: HOST:PORT of the cluster's head, or 'auto' for the cluster of this machine; by default the
            environment variable RAY_ADDRESS, else a cluster of this machine alone for this build.
        device: 'cpu' or 'cuda'; by default GPUs if the cluster has any.
        shard: images per shard, a multiple of 64. A lost machine costs the work on at most one shard per
            actor.

    Raises:
        GalleryError: `shard` is no multiple of 64.
    """

    address: str | None = None
    device: str | None = None
    shard: int = 4096

    def __post_init__(self) -> None:
        if self.shard < UNIT or self.shard % UNIT:
            raise GalleryError(f"shard={self.shard}: must be a multiple of {UNIT}.")

    def encode(
        self, pairs: "PairSet", encoder: "Encoder", part: Path, progress: Progress, *, tokens: bool
    ) -> Content:
        """Encode all shards that are missing in the folder of a build, and return what it contains.

        Raises:
            GalleryError: Ray is not installed, the cluster cannot be reached, or a worker failed.
            KeyboardInterrupt: Ctrl-C was pressed. Shards that are complete stay.
        """
        shards = Shards(part, len(pairs), self.shard)
        missing = shards.missing()
        done = len(pairs) - sum(len(shards.rows(shard)) for shard in missing)
        progress(done, len(pairs))
        if missing:
            work = _Work(encoder, shards, tokens)
            try:
                for shard in self._written(missing, pairs, work):
                    done += len(shards.rows(shard))
                    progress(done, len(pairs))
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"Stopped after {done} of {len(pairs)} images. Repeat the command to resume; to discard "
                    f"the work, delete {part}."
                ) from None
        if lost := shards.missing():
            raise GalleryError(
                f"{part} lacks shard {lost[0]}, which a worker of the Ray cluster has written. Choose a "
                "folder on a file system that all machines share."
            )
        return shards.join()

    def _written(self, missing: list[int], pairs: "PairSet", work: "_Work") -> Iterator[int]:
        """Write shards and yield the number of each when it is complete."""
        with _connected(self.address):
            import ray
            from ray.data import ActorPoolStrategy, DataContext
            from ray.exceptions import RayError

            logging.getLogger("ray.data").setLevel(logging.ERROR)  # as of Ray itself, in _connected
            context = DataContext.get_current().copy()
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            workers = _workers(ray.nodes(), self.device)
            most = min(workers.number, len(missing))
            with DataContext.current(context):
                shards = ray.data.from_items(
                    [{"shard": shard} for shard in missing], override_num_blocks=len(missing)
                )
                written = shards.map_batches(
                    _ShardWorker,
                    fn_constructor_args=(ray.put(pairs), work, "cuda" if workers.gpus else "cpu"),
                    batch_size=1,
                    # The pool may shrink: idle actors end, and that of a lost machine starts in their place.
                    compute=ActorPoolStrategy(
                        min_size=1, max_size=most, initial_size=most, max_tasks_in_flight_per_actor=1
                    ),
                    num_cpus=workers.cpus,
                    num_gpus=workers.gpus,
                )
                try:
                    for row in written.iter_rows():
                        if row["error"]:
                            raise GalleryError(
                                f"A worker of the Ray cluster failed ({row['error']}). {_RESUME}"
                            )
                        yield row["shard"]
                except RayError as error:
                    raise GalleryError(f"The Ray cluster failed ({reason_of(error)}). {_RESUME}") from error


class _Work:
    """What every worker of a build must know."""

    def __init__(self, encoder: "Encoder", shards: Shards, tokens: bool) -> None:
        if not isinstance(encoder, DualEncoder):
            raise GalleryError(f"{encoder.spec} cannot be loaded by the workers of a Ray cluster.")
        self.spec = encoder.spec
        self.fingerprint = encoder.fingerprint
        self.dtype = str(encoder.dtype).removeprefix("torch.")
        self.shards = shards
        self.tokens = tokens
        self.folder = Path.cwd()  # paths of the source can be relative to it
        self.decoders, self.threads = preparing_processes(), torch.get_num_threads()


class _ShardWorker:
    """Writes shards, in a process of a Ray cluster."""

    def __init__(self, source: Any, work: _Work, device: str) -> None:
        self.source = source
        self.work = work
        self.device = device

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Write one shard; return its number and what went wrong, if anything."""
        [shard] = batch["shard"].tolist()
        error = ""
        try:
            if self.work.shards.begin(shard) > ATTEMPTS:
                raise GalleryError(f"{ATTEMPTS} processes that encoded its images have ended: out of memory?")
            images = prepared_in_threads(
                self._units.pairs,
                self.work.shards.rows(shard),
                self._units.encoder.prepare,
                threads=self.work.decoders,
            )
            self.work.shards.write(shard, self._units, images)
        except (PairscopeError, OSError, RuntimeError) as failure:  # RuntimeError: memory of a GPU
            error = f"shard {shard} on {socket.gethostname()}: {failure}"
        return {"shard": [shard], "error": [error]}

    @cached_property
    def _units(self) -> UnitEncoder:
        import ray

        work = self.work
        os.chdir(work.folder)
        torch.set_num_threads(work.threads)  # the number decides how sums are rounded
        encoder = load_encoder(work.spec, device=self.device, dtype=work.dtype).fuse()
        if encoder.fingerprint != work.fingerprint:
            raise GalleryError(f"The weights of {work.spec} are others than on the machine of the command")
        return UnitEncoder(ray.get(self.source), encoder, None, work.shards.gallery, work.tokens)


class _Workers(NamedTuple):
    """Number of actors of a cluster, and the CPUs and GPUs of each."""

    number: int
    cpus: int
    gpus: int


def _workers(nodes: list[dict[str, Any]], device: str | None) -> _Workers:
    """Return one actor per GPU, or one per machine if there are none or `device` is 'cpu'.

    Args:
        nodes: from `ray.nodes()`.
        device: see `RayEngine`.

    Raises:
        GalleryError: the cluster has no such device.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = [(int(each["GPU"]), int(each.get("CPU", 0))) for each in alive if each.get("GPU", 0) >= 1]
    if gpus and device != "cpu":
        return _Workers(sum(count for count, _ in gpus), min(cpus // count for count, cpus in gpus), 1)
    cpus = [int(each["CPU"]) for each in alive if each.get("CPU", 0) >= 1]
    if not cpus or device not in (None, "auto", "cpu"):
        raise GalleryError(f"The Ray cluster has no {'CPU' if not cpus else 'GPU'} that a worker could use.")
    return _Workers(sum(count // min(cpus) for count in cpus), min(cpus), 0)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Join a cluster, or start one on this machine; a connection that exists is used and stays."""
    if find_spec("ray") is None:
        raise GalleryError("--engine ray needs Ray: pip install 'pairscope[ray]'.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read on import
    import ray
    from ray.exceptions import RayError

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    try:
        if address and address != "auto" and "://" not in address:  # Ray itself would wait for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=None if address else False,
        )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise GalleryError(
            f"The Ray cluster {address or 'of this machine'} cannot be reached ({reason_of(error)}). Start "
            "its head with `ray start --head`, and pass the address that this prints with --ray-address."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
