"""The archives of the demo gallery."""

from pathlib import Path

import numpy as np
import pytest
from packed_gallery import pack

from itr_core import Gallery, load_encoder, load_pairs
from itr_core.gallery import shipped


def test_a_packed_gallery_is_the_built_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder("starter:infonce", device="cpu")
    few = load_pairs("picturebook:gallery", limit=6)
    built = Gallery.build(few, encoder, tmp_path / "built")
    pack(few, encoder, tmp_path / "packed")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "packed")
    shipped.unpack_shipped(few, encoder, tmp_path / "unpacked")
    unpacked = Gallery.open(tmp_path / "unpacked")
    assert unpacked.items.equals(built.items)
    for one, other in (
        (unpacked.image_embeddings, built.image_embeddings),
        (unpacked.text_embeddings, built.text_embeddings),
    ):
        np.testing.assert_allclose(one, other, rtol=2**-13)
        assert not (np.asarray(one).view(np.uint32) & 0x7FF).any()
