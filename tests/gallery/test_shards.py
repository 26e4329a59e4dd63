"""A gallery in shards is that of a build in one process, and a damaged shard is found."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.gallery.ray_engine import ATTEMPTS, RayEngine, _ShardWorker, _Work, _Workers, _workers
from itr_core.gallery.shards import Shards
from itr_core.pairs import PairSet
from itr_core.retrieval.searcher import Searcher
from tests.gallery.sharded import MODEL, SHARD, HereEngine, assert_same_content, paint


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder(MODEL)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return paint(tmp_path_factory.mktemp("pictures"), side=16)


@pytest.fixture(scope="module")
def whole(pairs: PairSet, encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """The gallery of a build in this process."""
    return Gallery.build(pairs, encoder, tmp_path_factory.mktemp("whole") / "gallery", tokens=True)


@pytest.fixture(scope="module")
def sharded(pairs: PairSet, encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    path = tmp_path_factory.mktemp("sharded") / "gallery"
    return Gallery.build(pairs, encoder, path, tokens=True, engine=HereEngine(shard=SHARD))


def test_shards_have_the_content_of_a_build_in_one_process(sharded: Gallery, whole: Gallery) -> None:
    assert_same_content(sharded, whole)
    sizes = [size.images for size in sharded.manifest.shards]
    assert sizes == [SHARD, SHARD, 0, SHARD - 10]
    files = {path.relative_to(sharded.path).as_posix() for path in sharded.path.rglob("*") if path.is_file()}
    assert files == sharded.manifest.files.keys() | {"manifest.json", "sources.parquet"}


def test_search_and_measures_are_those_of_one_file(
    sharded: Gallery, whole: Gallery, encoder: DualEncoder
) -> None:
    found, expected = (Searcher(gallery, encoder) for gallery in (sharded, whole))
    for of in ("images", "captions"):
        hits, known = (each.search_text("a red picture", 7, of) for each in (found, expected))
        assert [(hit.item_id, hit.score, hit.caption) for hit in hits] == [
            (hit.item_id, hit.score, hit.caption) for hit in known
        ]
    reranked = found.search_text("a red picture", 7, rerank=True)
    assert [hit.item_id for hit in reranked] == [
        hit.item_id for hit in expected.search_text("a red picture", 7, rerank=True)
    ]
    assert GalleryAnalysis(sharded).geometry().equals(GalleryAnalysis(whole).geometry())


def test_an_update_of_a_gallery_in_shards_encodes_nothing_anew(
    sharded: Gallery, whole: Gallery, pairs: PairSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(MODEL)

    def encode_nothing(images: Iterator[Any], **options: Any) -> tuple[np.ndarray, np.ndarray]:
        assert not [*images]
        return np.zeros((0, encoder.dim), np.float32), np.zeros((0, 1, encoder.dim), np.float32)

    monkeypatch.setattr(encoder, "encode_images", encode_nothing)
    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery", earlier=sharded, tokens=True)
    assert_same_content(gallery, whole)


def test_a_damaged_shard_is_found_when_it_is_first_read(sharded: Gallery, tmp_path: Path) -> None:
    path = Path(shutil.copytree(sharded.path, tmp_path / "gallery"))
    file = path / "shards" / "00001" / "image_embeddings.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    gallery = Gallery.open(path)
    np.testing.assert_array_equal(gallery.image_embeddings[:SHARD], sharded.image_embeddings[:SHARD])
    with pytest.raises(GalleryError, match=r"shards/00001/image_embeddings\.npy has changed\. Rebuild it"):
        gallery.image_embeddings[SHARD]
    file.unlink()
    with pytest.raises(GalleryError, match=r"shards/00001/image_embeddings\.npy is missing"):
        Gallery.open(path)


class StoppedEngine(HereEngine):
    """Ctrl-C is pressed when three shards are written."""

    def _written(self, missing: list[int], pairs: PairSet, work: Any) -> Iterator[int]:
        yield from super()._written(missing[:3], pairs, work)
        raise KeyboardInterrupt


def test_a_stopped_build_resumes_and_writes_a_damaged_shard_again(
    pairs: PairSet, encoder: DualEncoder, whole: Gallery, tmp_path: Path
) -> None:
    path = tmp_path / "gallery"
    with pytest.raises(KeyboardInterrupt, match=r"Stopped after 192 of 246 images\. Repeat the command"):
        Gallery.build(pairs, encoder, path, tokens=True, engine=StoppedEngine(shard=SHARD))
    file = tmp_path / ".gallery.part" / "gallery" / "shards" / "00001" / "text_embeddings.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    done: list[int] = []
    gallery = Gallery.build(
        pairs,
        encoder,
        path,
        tokens=True,
        engine=HereEngine(shard=SHARD),
        progress=lambda count, total: done.append(count),
    )
    assert done == [2 * SHARD, 3 * SHARD, len(pairs)]
    assert_same_content(gallery, whole)


class ForgetfulEngine(RayEngine):
    """Its workers write to another disk."""

    def _written(self, missing: list[int], pairs: PairSet, work: Any) -> Iterator[int]:
        return iter(missing)


def test_refused_builds(
    pairs: PairSet, encoder: DualEncoder, whole: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery"
    with pytest.raises(GalleryError, match=r"lacks shard 0.*a file system that all machines share"):
        Gallery.build(pairs, encoder, path, engine=ForgetfulEngine())
    with pytest.raises(GalleryError, match="encodes everything anew"):
        Gallery.build(pairs, encoder, path, engine=HereEngine(), earlier=whole)
    with pytest.raises(GalleryError, match=r"shard=100: must be a multiple of 64"):
        RayEngine(shard=100)
    monkeypatch.setattr("itr_core.gallery.ray_engine.find_spec", lambda name: None)
    with pytest.raises(GalleryError, match=r"pip install 'pairscope\[ray\]'"):
        Gallery.build(pairs, encoder, path, engine=RayEngine())
    assert not path.exists()


def test_a_shard_at_which_processes_end_is_given_up(encoder: DualEncoder, tmp_path: Path) -> None:
    shards = Shards(tmp_path, SHARD, SHARD)
    shards.reports.mkdir()
    worker = _ShardWorker(None, _Work(encoder, shards, tokens=False), "cpu")
    assert [shards.begin(0) for _ in range(ATTEMPTS)] == list(range(1, ATTEMPTS + 1))
    result = worker({"shard": np.array([0])})
    assert "5 processes that encoded its images have ended" in result["error"][0]
    assert shards.missing() == [0]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere"])
def test_a_cluster_that_does_not_answer(
    pairs: PairSet, encoder: DualEncoder, tmp_path: Path, address: str
) -> None:
    pytest.importorskip("ray", reason="Ray is an optional library: pip install 'pairscope[ray]'")
    with pytest.raises(GalleryError, match=rf"cluster {address} cannot be reached.*ray start --head"):
        Gallery.build(pairs, encoder, tmp_path / "gallery", engine=RayEngine(address))


@pytest.mark.parametrize(
    ("machines", "device", "workers"),
    [
        ([{"CPU": 8}, {"CPU": 8}], None, _Workers(2, 8, 0)),
        ([{"CPU": 4}, {"CPU": 9}, {}], None, _Workers(3, 4, 0)),
        ([{"CPU": 16}, {"CPU": 16, "GPU": 4}, {"CPU": 8, "GPU": 1}], None, _Workers(5, 4, 1)),
        ([{"CPU": 16, "GPU": 4}], "cpu", _Workers(1, 16, 0)),
    ],
)
def test_there_is_one_worker_per_gpu_or_per_machine(
    machines: list[dict[str, float]], device: str | None, workers: _Workers
) -> None:
    lost = {"Alive": False, "Resources": {"CPU": 1}}
    assert _workers([{"Alive": True, "Resources": each} for each in machines] + [lost], device) == workers


def test_a_cluster_without_the_device_is_an_error() -> None:
    with pytest.raises(GalleryError, match="has no GPU"):
        _workers([{"Alive": True, "Resources": {"CPU": 2}}], "cuda")
    with pytest.raises(GalleryError, match="has no CPU"):
        _workers([{"Alive": True, "Resources": {}}], None)
