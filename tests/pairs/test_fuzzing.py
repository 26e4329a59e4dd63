"""Random and damaged files: they are read or refused, and no other exception is raised."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itr_core.errors import SourceError
from itr_core.pairs import load_pairs
from itr_core.pairs.caption_files import read_caption_file
from itr_core.pairs.columns import Columns
from itr_core.pairs.report import Report
from tests.support import Paint

SUFFIXES = ("csv", "tsv", "txt", "jsonl", "json")
PIECES = (
    "a.jpg", "file_name", "image", "caption", "captions", "image_id", "label", ",", "\t", ";", "|", "\n",
    "\r", '"', "'", "#0", "#", " ", "\ufeff", "\0", "\u2028", "[", "]", "{", "}", ":", "null", "NaN", "1e999",
    "7",
    "\\ud83d", "é", "😀", '{"file_name": "a.jpg", "caption": "x"}', "sep=;", "(", ")", "\\", "//", "True",
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(PIECES),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(PIECES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = (
    "images", "annotations", "id", "image_id", "file_name", "filename", "caption", "sentences", "raw",
    "split", "cocoid", "filepath", "coco_url", "image", "tokens",
)  # fmt: skip
ANNOTATIONS = st.recursive(
    st.none() | st.integers(-1, 3) | st.floats() | st.sampled_from(("a.jpg", "test", "../a.jpg", "", "\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=15,
)


CHOICES: tuple[Columns, ...] = ({}, {"captions": "caption"}, {"captions": []}, {"image": "file_name"})


def check(content: bytes, suffix: str) -> None:
    for columns in CHOICES:
        try:
            rows = read_caption_file(content, f"a.{suffix}", columns, Report())
        except SourceError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        else:
            json.dumps([row._asdict() for row in rows], ensure_ascii=False).encode()


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(SUFFIXES))
@settings(max_examples=300, deadline=None)
def test_pieces_of_tables(pieces: list[str], suffix: str) -> None:
    check("".join(pieces).encode(), suffix)


@given(st.binary(max_size=60), st.sampled_from(SUFFIXES))
@settings(max_examples=200, deadline=None)
def test_random_bytes(content: bytes, suffix: str) -> None:
    check(content, suffix)


@given(VALUES, st.sampled_from(("jsonl", "json")))
@settings(max_examples=200, deadline=None)
def test_random_json(value: object, suffix: str) -> None:
    check(json.dumps(value).encode(), suffix)


@pytest.mark.parametrize("wrapped", [False, True])
def test_random_annotations(wrapped: bool, paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")

    @given(ANNOTATIONS, ANNOTATIONS)
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def read(first: object, second: object) -> None:
        content = {"images": [first], "annotations": [second]} if wrapped else first
        (tmp_path / "a.json").write_text(json.dumps(content))
        for spec in (f"coco:{tmp_path}/a.json", f"karpathy:{tmp_path}/a.json:test"):
            try:
                load_pairs(spec)
            except SourceError as error:
                assert "cannot be read (" not in str(error)  # noqa: PT017 - of a library

    read()
