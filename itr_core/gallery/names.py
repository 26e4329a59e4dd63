"""Names for several galleries in one table or menu."""

from collections.abc import Iterable


def unique_names(names: Iterable[str]) -> list[str]:
    """Number repeated names, so that each name appears once.

    >>> unique_names(["photos", "pets", "photos", "photos"])
    ['photos', 'pets', 'photos (2)', 'photos (3)']
    """
    unique: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in unique:
            number += 1
            candidate = f"{name} ({number})"
        unique.append(candidate)
    return unique
