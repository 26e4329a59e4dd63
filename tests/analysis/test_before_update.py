"""Maps and verdicts of a gallery stay the same where the gallery does."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.before_update import BeforeUpdate, placed
from analysis.gallery_analysis import GalleryAnalysis
from analysis.misses.verdicts import Miss, VerdictFile
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.gallery.build import VERDICTS
from itr_core.pairs import load_pairs


def paint(path: Path, colour: tuple[int, int, int]) -> None:
    Image.new("RGB", (40, 30), colour).save(path)
    path.with_suffix(".txt").write_text(f"colour {colour}")


def painted(folder: Path, count: int) -> Path:
    """Return a folder of pictures of different colours, each with a caption."""
    folder.mkdir()
    for number in range(count):
        paint(folder / f"{number:02}.png", (number * 12, 100, 90))
    return folder


@pytest.mark.parametrize(("new", "carried"), [(2, True), (12, False)])
def test_points_stay_and_few_new_ones_are_placed_among_them(
    tmp_path: Path, new: int, *, carried: bool
) -> None:
    encoder = load_encoder("picturebook-vit/none")
    photos = painted(tmp_path / "photos", 20)
    gallery = Gallery.build(load_pairs(str(photos)), encoder, tmp_path / "gallery")
    before = GalleryAnalysis(gallery)
    earlier = before.map("joint")
    kept = BeforeUpdate(before)

    (photos / "07.png").unlink()
    for number in range(new):
        paint(photos / f"10{chr(97 + number)}.png", (number, 200, 90))
    later = GalleryAnalysis(Gallery.build(load_pairs(str(photos)), encoder, gallery.path, earlier=gallery))
    assert kept.carry(later) == ["joint"] * carried
    assert later.results.known("umap-joint") == carried
    if carried:
        points = later.map("joint")["images"].points
        stayed = [row for row, image_id in enumerate(later.gallery.items["image_id"]) if len(image_id) == 6]
        old = [row for row in range(20) if row != 7]
        np.testing.assert_array_equal(points[stayed], earlier["images"].points[old])
        low, high = earlier["images"].points.min(axis=0), earlier["images"].points.max(axis=0)
        assert np.isfinite(points).all()
        assert (points >= low - 1).all()
        assert (points <= high + 1).all()


def test_a_new_point_lies_between_its_neighbours() -> None:
    before = np.eye(6, 8, dtype=np.float32)
    points = np.arange(12, dtype=np.float32).reshape(6, 2)
    between = (before[1] + before[2]) / np.sqrt(2)
    after = np.stack([before[4], between, before[5]])
    result = placed(points, before, after, np.array([4, -1, 5]))
    np.testing.assert_array_equal(result[[0, 2]], points[[4, 5]])
    near, far = (np.linalg.norm(result[1] - points[row]) for row in (1, 5))
    assert near < far


def test_a_copy_of_a_known_image_is_placed_on_it() -> None:
    before = np.eye(8, dtype=np.float32)
    points = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    result = placed(points, before, before[[3]], np.array([-1]))
    np.testing.assert_allclose(result[0], points[3], atol=1e-4)


def test_verdicts_follow_their_rows(tmp_path: Path) -> None:
    encoder = load_encoder("picturebook-vit/none")
    photos = painted(tmp_path / "photos", 8)
    gallery = Gallery.build(load_pairs(str(photos)), encoder, tmp_path / "gallery")
    old = gallery.manifest.source_fingerprint
    file = VerdictFile(gallery.path / VERDICTS)
    file.save(gallery=old, direction="t2i", query=5, found=6, verdict="true error", owner="visitor:a")
    file.save(gallery=old, direction="i2t", query=2, found=4, verdict="unclear", owner="visitor:a")
    file.save(gallery="another", direction="i2t", query=2, found=4, verdict="unclear", owner="visitor:b")

    before = BeforeUpdate(GalleryAnalysis(gallery))
    (photos / "04.png").unlink()
    updated = Gallery.build(load_pairs(str(photos)), encoder, gallery.path, earlier=gallery)
    before.carry(GalleryAnalysis(updated))
    new = updated.manifest.source_fingerprint
    assert file.of(["visitor:a"], [new]) == {Miss("t2i", 4, 5): "true error"}
    assert file.of(["visitor:a"], [old]) == {Miss("i2t", 2, 4): "unclear"}  # its caption is gone
    assert file.of(["visitor:b"], ["another"]) == {Miss("i2t", 2, 4): "unclear"}
