"""Indexes of galleries are found by what they index, and only if this machine wrote them."""

import shutil
from errno import ENOSPC
from pathlib import Path

import faiss
import numpy as np
import pytest

from itr_core.gallery import Gallery
from itr_core.retrieval.approximate import ApproximateIndex
from itr_core.retrieval.index import ExactIndex
from itr_core.retrieval.index_records import earlier_indexes
from itr_core.retrieval.opened_indexes import OpenedIndexes
from itr_core.retrieval.saved_index import distinct_captions, engine_of, open_index, save_indexes
from tests.galleries import write_gallery
from tests.retrieval.gap import pairs

N = 400
IMAGES, CAPTIONS = pairs(N, 16)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("itr_core.retrieval.saved_index.FEWEST", 300)
    return tmp_path / "cache" / "indexes"


def gallery_of(folder: Path, images: np.ndarray = IMAGES, captions: int = N) -> Gallery:
    """A gallery in which every second caption is equal to the one before."""
    texts = [f"caption {row // 2}" for row in range(captions)]
    listed = [texts[row : row + 1] for row in range(N)]
    return write_gallery(folder, images, CAPTIONS[:captions], [f"id {row}" for row in range(N)], listed)


def test_a_saved_index_is_opened_by_later_searches(tmp_path: Path) -> None:
    gallery = gallery_of(tmp_path / "gallery")
    assert engine_of(gallery) is None
    seen: list[tuple[int, int]] = []
    made = save_indexes(gallery, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (N, N)
    assert list(made) == ["images"]  # 200 different captions are too few
    assert engine_of(gallery) == "faiss"
    index = open_index(gallery, "images")
    assert isinstance(index, ApproximateIndex)
    assert index.settings == made["images"]
    assert index.settings.recall >= 0.99
    np.testing.assert_array_equal(
        index.search(CAPTIONS[:50], 1)[1], ExactIndex(IMAGES).search(CAPTIONS[:50], 1)[1]
    )
    rows = np.array(list(distinct_captions(gallery.column("captions")).values()))
    assert rows.tolist() == list(range(0, N, 2))
    assert isinstance(open_index(gallery, "captions", rows), ExactIndex)
    assert isinstance(open_index(gallery, "images", exact=True), ExactIndex)


def test_a_copy_of_the_gallery_is_indexed_and_one_with_other_embeddings_is_not(tmp_path: Path) -> None:
    gallery = gallery_of(tmp_path / "gallery")
    save_indexes(gallery)
    shutil.copytree(gallery.path, tmp_path / "copy")
    assert engine_of(Gallery.open(tmp_path / "copy")) == "faiss"
    assert isinstance(open_index(gallery_of(tmp_path / "other", IMAGES[::-1]), "images"), ExactIndex)


def test_a_new_index_replaces_that_of_the_embeddings_before(tmp_path: Path, cache: Path) -> None:
    save_indexes(gallery_of(tmp_path / "gallery"))
    save_indexes(gallery_of(tmp_path / "another"))  # the same embeddings
    old = set(cache.iterdir())
    save_indexes(gallery_of(tmp_path / "another", IMAGES[::-1]))
    assert len(set(cache.iterdir())) == 2
    assert not old & set(cache.iterdir())


@pytest.mark.parametrize("step", ["saved_index.sha256", "index_records.write_record"])
def test_an_index_stays_until_another_is_complete(
    tmp_path: Path, cache: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = gallery_of(tmp_path / "gallery")
    save_indexes(gallery)
    files = set(cache.iterdir())

    def fail(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device", str(cache))

    with monkeypatch.context() as patched:
        patched.setattr(f"itr_core.retrieval.{step}", fail)
        with pytest.raises(OSError, match="No space left"):
            save_indexes(gallery)
    assert set(cache.iterdir()) == files
    assert isinstance(open_index(gallery, "images"), ApproximateIndex)
    save_indexes(gallery)
    assert len(set(cache.iterdir())) == 2


def test_opened_indexes_are_renewed_when_others_have_been_made(tmp_path: Path) -> None:
    gallery = gallery_of(tmp_path / "gallery")
    opened, exact = (OpenedIndexes(gallery, np.arange(N), exact=each) for each in (False, True))
    assert not opened.index("images").approximate
    save_indexes(gallery)
    assert (opened.outdated(), exact.outdated()) == (True, False)
    assert not opened.index("images").approximate
    opened.renew()
    assert not opened.outdated()
    assert opened.index("images").approximate
    assert not opened.index("captions").approximate


def test_the_engine_of_earlier_embeddings_is_known_until_the_new_ones_are_indexed(tmp_path: Path) -> None:
    save_indexes(gallery_of(tmp_path / "gallery"))
    gallery = gallery_of(tmp_path / "gallery", IMAGES[::-1])
    assert engine_of(gallery) == "faiss"
    assert earlier_indexes(gallery)
    save_indexes(gallery)
    assert not earlier_indexes(gallery)
    assert engine_of(gallery_of(tmp_path / "another", IMAGES[::2].repeat(2, axis=0))) is None


@pytest.mark.parametrize("suffix", [".faiss", ".json"])
def test_a_damaged_index_is_not_read(
    tmp_path: Path, cache: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = gallery_of(tmp_path / "gallery")
    save_indexes(gallery)
    (path,) = cache.glob(f"*{suffix}")
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    monkeypatch.setattr(faiss, "read_index", lambda path: pytest.fail("read"))
    assert isinstance(open_index(gallery, "images"), ExactIndex)


def test_an_index_file_in_the_folder_of_a_gallery_is_not_read(tmp_path: Path, cache: Path) -> None:
    gallery = gallery_of(tmp_path / "gallery")
    save_indexes(gallery)
    for path in list(cache.iterdir()):
        shutil.move(path, gallery.path / path.name)
    assert isinstance(open_index(Gallery.open(gallery.path), "images"), ExactIndex)


def test_without_captions_more_lists_are_scanned_than_images_need(tmp_path: Path) -> None:
    """No queries of the other modality are known, which need more lists."""
    gallery = gallery_of(tmp_path / "gallery", captions=0)
    save_indexes(gallery)
    index = open_index(gallery, "images")
    assert isinstance(index, ApproximateIndex)
    assert index.settings.probes >= min(4, index.lists.nlist)
