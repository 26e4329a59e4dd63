"""Versions of the results that a gallery caches.

Raise the version of a result with every change of the code that changes the result. Results of another
version are computed again, and so are all results that depend on them.
"""

from typing import NamedTuple


class Version(NamedTuple):
    """Version of a result, and the results that it is computed from."""

    number: int
    depends_on: tuple[str, ...] = ()


RESULTS: dict[str, Version] = {
    "truth": Version(1),
    "ranks": Version(1),
    "metrics": Version(1, ("ranks",)),
    "compared": Version(1, ("ranks", "truth")),
    "geometry": Version(2),
    "histograms": Version(1),
    "true_images": Version(1, ("truth",)),
    "by_length": Version(1, ("ranks", "true_images")),
    "truncated": Version(1),
    "misses": Version(2, ("truth",)),
    "probes": Version(2, ("truth",)),
    "report_card": Version(1),
    "calibration": Version(2),
    "picture_calibration": Version(2),
    "pca": Version(1),
    "umap": Version(1),
    "aligned": Version(1),
}


def versions_of(name: str) -> list[str]:
    """Return the versions of a cached result and of all results that it is computed from.

    Args:
        name: of a result; the maps "umap-joint", "umap-images", ... share the version of "umap".

    >>> versions_of("by_length")
    ['by_length 1', 'ranks 1', 'true_images 1', 'truth 1']
    """
    base = name.partition("-")[0]
    version = RESULTS[base]
    return [f"{base} {version.number}", *(each for part in version.depends_on for each in versions_of(part))]
