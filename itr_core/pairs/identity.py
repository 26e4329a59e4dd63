"""Ids of images: they never join different pictures, and never split one."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any

from itr_core.pairs.captions import clean_text
from itr_core.pairs.report import Report


def id_text(value: Any) -> str:
    """Return the text of an id or a name: 7, 7.0 and "7" are the same. Missing values (None, NaN) give ""."""
    if value is None:
        return ""
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        value = int(value) if value.is_integer() else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    try:
        return clean_text(str(value)).strip()
    except RecursionError:  # a list in a list in a list ...
        return ""


def rows_of_images(
    ids: Sequence[str], *, present: Sequence[bool], picture: Callable[[int], Hashable], join: bool
) -> list[list[int]]:
    """Group the rows of a table by image, in the order of the first rows.

    Rows of one id are one image if their pictures are equal. A row without a picture belongs to the picture
    of its id; if there is none, it is in no group.

    Args:
        ids: the id of each row, "" if it has none.
        present: whether the row has a picture.
        picture: maps a row to what is equal for equal pictures; called where ids repeat, and for `join`.
        join: also join rows without ids that have equal pictures.
    """
    repeats = Counter(ids)
    groups: dict[Hashable, list[int]] = {}
    first_of_id: dict[str, list[int]] = {}
    orphans = []
    for row, image_id in enumerate(ids):
        if not present[row]:
            orphans.append(row)
            continue
        if not image_id:
            key: Hashable = ("", picture(row)) if join else row
        else:
            key = (image_id, picture(row)) if repeats[image_id] > 1 else image_id
        group = groups.setdefault(key, [])
        group.append(row)
        if image_id:
            first_of_id.setdefault(image_id, group)
    for row in orphans:
        if group_of_id := first_of_id.get(ids[row]):
            group_of_id.append(row)
    return [sorted(group) for group in groups.values()]


def unique_ids(ids: Sequence[str], report: Report) -> list[str]:
    """Append a number to repeated ids, which are those of different pictures; the first keeps its id."""
    taken, unique = set(ids), []
    numbers: dict[str, count[int]] = {}
    for image_id in ids:
        name = image_id
        if image_id in numbers:
            name = next(
                name for number in numbers[image_id] if (name := f"{image_id} ({number})") not in taken
            )
            taken.add(name)
            report.changed("Different pictures with one id, which get numbers", name)
        numbers.setdefault(image_id, count(2))
        unique.append(name)
    return unique
