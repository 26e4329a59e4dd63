"""The data of the small starters."""

from pathlib import Path

from starter_runs import without_colours

from itr_core.pairs import load_pairs
from itr_core.picturebook.ontology import COLOURS
from itr_core.vocabulary import words_of


def test_captions_without_colours_name_no_colour_and_keep_everything_else(tmp_path: Path) -> None:
    before = load_pairs("picturebook:train@30")
    after = load_pairs(f"parquet:{without_colours(tmp_path / 'pairs', 30)}")
    assert after.image_ids == before.image_ids
    words = [word for text in before.flat_captions()[0] for word in words_of(text)]
    kept = [word for text in after.flat_captions()[0] for word in words_of(text)]
    colours = {*COLOURS, "violet", "gray"}
    assert colours & set(words)
    assert not colours & set(kept)
    dropped = {"in", "wearing", "dressed", "clothes"}
    assert [word for word in kept if word not in dropped] == [
        word for word in words if word not in dropped | colours
    ]
