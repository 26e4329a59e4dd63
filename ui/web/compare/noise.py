"""The noise band of a set of pictures: two loaded galleries whose models differ in their seed only."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from analysis.comparison.noise import NoiseBand
from analysis.gallery_analysis import GalleryAnalysis, same_items
from itr_core.errors import PairscopeError
from ui.web.galleries import Galleries


@dataclass
class Settings:
    """Settings of the served app: specs of two models that differ in their random seed only."""

    seeds: tuple[str, str] = ("starter:infonce-continued", "starter:infonce-continued-2")


SETTINGS = Settings()


def seed_pair(galleries: Galleries, name: str, seeds: Sequence[str]) -> list[str]:
    """Return the names of the two galleries that show the noise of a gallery's pictures; [] without them.

    The models of its set may still have to be loaded. Galleries of other sets must have loaded, because only
    then it is known whether their pictures are the same.

    Args:
        galleries: all galleries.
        name: a loaded gallery.
        seeds: specs of two models that differ in their seed only.
    """
    pictures, own, found = galleries.analysis(name), galleries.choice(name).set, {}
    for each in galleries.all_names:
        choice = galleries.choice(each)
        if choice.set == own and choice.spec in seeds:
            found[choice.spec] = each
    for each in galleries.names:
        with suppress(PairscopeError):  # not loaded, or failed
            spec = galleries.searcher(each, timeout=0).encoder.spec
            if spec in seeds and same_items([pictures, galleries.analysis(each)]):
                found.setdefault(spec, each)
    return list(found.values()) if len(found) == 2 else []


def noise_band(galleries: Galleries, name: str, seeds: Sequence[str]) -> NoiseBand | None:
    """Return the noise band of a gallery's pictures; None if it is not known (yet)."""
    pair = seed_pair(galleries, name, seeds)
    if not pair or any(not galleries.loaded(each) for each in pair):
        return None
    analyses = [galleries.analysis(each) for each in pair]
    if not all(each.results.known("compared") for each in analyses):
        return None
    return _band(*analyses)


@lru_cache(maxsize=8)
def _band(first: GalleryAnalysis, second: GalleryAnalysis) -> NoiseBand:
    return NoiseBand.of(first.compared().first, second.compared().first, first.captions)
