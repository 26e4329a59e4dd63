"""A build on a Ray cluster of several machines, one of which is lost."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.gallery.ray_engine import RayEngine
from tests.gallery.sharded import MODEL, SHARD, SHARDS, assert_same_content, paint

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kill,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # of settings that Ray itself sets
]


@pytest.fixture(scope="module")
def cluster() -> "Iterator[Cluster]":
    """Two machines of one core beside a head that encodes nothing, each in processes of its own."""
    pytest.importorskip("ray", reason="Ray is an optional library: pip install 'pairscope[ray]'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_a_lost_machine_costs_its_shard_and_the_gallery_is_that_of_one_process(
    cluster: "Cluster", tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    pairs, encoder = paint(tmp_path / "pictures", side=200), load_encoder(MODEL).fuse()
    expected = Gallery.build(pairs, encoder, tmp_path / "expected", tokens=True)
    reports = tmp_path / ".gallery.part" / "shards"
    lost: list[set[str]] = []
    attempts: dict[str, int] = {}

    def at_work() -> set[str]:
        begun, whole = ({file.stem for file in reports.glob(f"*.{kind}")} for kind in ("begun", "json"))
        return begun - whole

    def lose_a_machine() -> None:
        """End all processes of a machine while both machines encode."""
        [*_, machine] = cluster.worker_nodes
        workers = psutil.Process(machine.all_processes["raylet"][0].process.pid).children(recursive=True)
        while True:
            for worker in workers:
                worker.suspend()
            if len(at_work()) == 2:
                break
            for worker in workers:
                worker.resume()
            time.sleep(0.05)
        lost.append(at_work())
        cluster.remove_node(machine, allow_graceful=False)
        for worker in workers:
            worker.kill()

    def progress(done: int, total: int) -> None:
        if done and not lost:
            lose_a_machine()
        attempts.update((file.stem, file.stat().st_size) for file in reports.glob("*.begun"))

    engine = RayEngine(cluster.address, shard=SHARD)
    gallery = Gallery.build(
        pairs, encoder, tmp_path / "gallery", tokens=True, engine=engine, progress=progress
    )
    assert_same_content(gallery, expected)
    again = {shard for shard, count in attempts.items() if count > 1}
    assert len(attempts) == SHARDS
    assert len(again) == 1
    assert again < lost[0]
