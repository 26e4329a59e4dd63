"""The galleries and photos that benchmarks of size use."""

from pathlib import Path

import numpy as np
from enlarged import enlarge
from photos import SIZE, write_photos
from PIL import Image

from itr_core import Gallery, Searcher, load_encoder, load_pairs


def test_an_enlarged_gallery_is_whole_and_can_be_searched(tmp_path: Path) -> None:
    encoder = load_encoder("starter:infonce", device="cpu")
    small = Gallery.build(load_pairs("picturebook:gallery@6"), encoder, tmp_path / "small")
    enlarge(small, tmp_path / "large", 50)
    large = Gallery.open(tmp_path / "large")
    assert len(large) == 50 == len(set(large.items["image_id"])) == len(set(large.items["thumbnail"]))
    assert {*map(tuple, large.items["captions"])} <= {*map(tuple, small.items["captions"])}
    for embeddings in (large.image_embeddings, large.text_embeddings):
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    # A caption is closer to its own picture than to the others, as in the small gallery.
    scores = large.text_embeddings @ large.image_embeddings.T
    own = scores[np.arange(len(scores)), large.image_of_caption]
    assert own.mean() > scores.mean() + 0.1
    assert len(Searcher(large, encoder).search_text("a red car", 20)) == 20


def test_photos_beyond_the_distinct_ones_are_links(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 5, distinct=2)
    files = sorted((tmp_path / "photos").iterdir())
    assert [file.samefile(files[row % 2]) for row, file in enumerate(files)] == [True] * 5
    assert not files[0].samefile(files[1])
    with Image.open(files[1]) as photo:
        assert (photo.format, photo.size) == ("JPEG", SIZE)
    assert files[0].stat().st_size > 50_000  # as large as a photo, which is what decoding takes long for
