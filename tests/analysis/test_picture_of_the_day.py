"""Which picture is hidden, and the hints."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest

from analysis.picture_of_the_day import hidden_row, judged_facts, rank_of, solving_rank
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.splits import scene_of

IDS = [f"gallery-{row:06d}.png" for row in range(2000)]
DAY = date(2026, 11, 28)


def test_the_picture_of_a_day_never_changes() -> None:
    assert [IDS[hidden_row(DAY + timedelta(day), IDS)] for day in range(3)] == [
        "gallery-001402.png", "gallery-000469.png", "gallery-001782.png",
    ]  # fmt: skip


def test_the_picture_does_not_depend_on_the_order_of_rows() -> None:
    assert IDS[::-1][hidden_row(DAY, IDS[::-1])] == IDS[hidden_row(DAY, IDS)]


def test_every_picture_has_its_days() -> None:
    days = Counter(hidden_row(DAY + timedelta(day), IDS[:20]) for day in range(1000))
    assert len(days) == 20
    assert max(days.values()) < 100


def test_ranks_count_better_pictures() -> None:
    images = np.array([[1, 0], [0.6, 0.8], [0.6, 0.8], [0, 1]], np.float32)
    assert [rank_of(images, np.array([1, 0], np.float32), row) for row in range(4)] == [1, 2, 2, 4]


@pytest.mark.parametrize(("size", "rank"), [(1, 1), (300, 1), (400, 2), (2000, 10), (10**6, 10)])
def test_a_small_gallery_is_solved_by_the_first_place_only(size: int, rank: int) -> None:
    assert solving_rank(size) == rank


def test_facts_of_own_captions_are_true_and_words_without_a_meaning_have_none() -> None:
    judged = 0
    for index in range(20):
        scene = scene_of("val", index)
        for caption in captions_of(scene):
            facts = judged_facts(caption.text, scene)
            judged += len(facts)
            assert all(true for _, true in facts)
    assert judged > 100
    assert judged_facts("a unicorn at the office", scene_of("val", 0)) == []
