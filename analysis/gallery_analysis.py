"""What is known of a gallery: computed once, then kept in its folder, so that no page has to wait for it."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property, partial
from typing import Literal, get_args

import numpy as np
import pandas as pd

from analysis import query_length
from analysis.calibration import Calibration
from analysis.geometry import measures
from analysis.ground_truth import truth_of
from analysis.misses import causes
from analysis.probes import counterfactuals
from analysis.probes.word_edits import object_words, word_edits
from analysis.projection import Map, aligned_maps, centred, pca_map, umap_map
from analysis.result_store import Arrays, ResultStore
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.metrics import CosineSimilarity, ranks
from itr_core.metrics.bootstrap import interval
from itr_core.metrics.samples import MetricSamples, recalls
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.system.progress import Progress

FOLDER = "analysis"
"""Beside the files that a gallery's manifest names: not verified, not served, gone when it is built anew."""

Kind = Literal["joint", "centred", "images", "captions"]
"""Of a map: both modalities as they are, both without the gap between them, or one alone."""
KINDS: tuple[Kind, ...] = get_args(Kind)
Method = Literal["pca", "umap"]
Maps = dict[str, Map]
"""The map of each modality that is in the picture: "images", "captions"."""

RESULTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "truth": (1, ()),
    "ranks": (1, ()),
    "metrics": (1, ("ranks",)),
    "geometry": (1, ()),
    "histograms": (1, ()),
    "true_images": (1, ("truth",)),
    "by_length": (1, ("ranks", "true_images")),
    "truncated": (1, ()),
    "misses": (1, ("truth",)),
    "probes": (1, ("truth",)),
    "calibration": (1, ()),
    "pca": (1, ()),
    "umap": (1, ()),
    "aligned": (1, ()),
}
"""Name of a cached result -> its version, and the results that it is computed from.

Raise the version with every change of the code that changes the result: results of another version are
computed again, as are all that depend on them."""

_ROWS = 256
_PROBES = 200


class GalleryAnalysis:
    """Everything that is measured of one gallery, each thing when it is first asked for.

    Results are `ResultStore` in the gallery's folder by the hash of its manifest and their version (`RESULTS`), so
    that a gallery built again never sees those of the old one.

    What needs pairs raises GalleryError where there are none, or fewer than two images. What takes long has
    `progress(done, total)`, and ends with whatever that raises.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.images = gallery.image_embeddings
        self.captions = [caption for captions in gallery.items["captions"] for caption in captions]
        self.results = ResultStore(
            gallery.path / FOLDER, lambda name: _digest(gallery.manifest.checksum, *_versions(name))
        )

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images (n, d), captions (m, d) and the image row of each caption (m,)."""
        if not self.captions or len(self.images) < 2:
            raise GalleryError(
                f"{self.gallery.path} has {len(self.images)} images and {len(self.captions)} captions; to "
                "measure retrieval takes two images and a caption. Build it from a source with captions."
            )
        return self.images, self.gallery.text_embeddings, self.gallery.image_of_caption

    @cached_property
    def object_words(self) -> list[str]:
        """What the captions call things: see `analysis.probes.word_edits.object_words`."""
        return object_words(self.captions)

    @cached_property
    def truth(self) -> SceneRelevance | None:
        """Which caption is true of which image, where that is known: see `truth_of`."""
        return truth_of(self.gallery)

    # ---- results

    def ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """T2I ranks (m,) and I2T ranks (n,): see `itr_core.metrics.ranks`."""
        results = self.results.arrays("ranks", lambda: dict(zip(("t2i", "i2t"), self._ranks(), strict=True)))
        return results["t2i"], results["i2t"]

    def figures(self) -> list[MetricSamples]:
        """The standard protocol with the queries behind it, to be compared with another model's."""
        return recalls("standard", *self.ranks(), self.pairs[2])

    def metrics(self) -> pd.DataFrame:
        """The standard protocol. Index: t2i_r1, ..., rsum, ...; columns value, low, high, queries."""

        def compute() -> pd.DataFrame:
            figures = self.figures()
            bounds = np.array([interval(each.bootstrap()) for each in figures])
            queries = [sum(len(part.values) for part in each.parts) for each in figures]
            columns = {"value": [each.value for each in figures], "low": bounds[:, 0], "high": bounds[:, 1]}
            return pd.DataFrame(columns | {"queries": queries}, index=[each.name for each in figures])

        return self.results.table("metrics", compute)

    def geometry(self) -> pd.DataFrame:
        """See `analysis.geometry.geometry`."""
        return self.results.table("geometry", lambda: measures.geometry(*self.pairs))

    def histograms(self) -> pd.DataFrame:
        """See `analysis.geometry.similarity_histograms`."""
        return self.results.table("histograms", lambda: measures.similarity_histograms(*self.pairs))

    def true_images(self) -> np.ndarray | None:
        """Of how many images each caption is true, (m,); None where there is no truth."""

        def compute() -> Arrays:
            count = np.zeros(len(self.captions), np.int64)
            assert self.truth is not None
            for start in range(0, len(self.images), _ROWS):
                count += self.truth.matrix(slice(start, start + _ROWS)).sum(axis=0)
            return {"count": count}

        return None if self.truth is None else self.results.arrays("true_images", compute)["count"]

    def by_length(self) -> pd.DataFrame:
        """See `analysis.query_length.by_length`."""

        def compute() -> pd.DataFrame:
            t2i, image_of_caption = self.ranks()[0], self.pairs[2]
            return query_length.by_length(
                t2i, self.captions, image_of_caption, true_images=self.true_images()
            )

        return self.results.table("by_length", compute)

    def truncated(
        self, encoder: counterfactuals.TextEncoder, *, progress: Progress | None = None
    ) -> pd.DataFrame:
        """See `analysis.query_length.truncated`. encoder: the one that made the gallery."""
        images, _, image_of_caption = self.pairs
        return self.results.table(
            "truncated",
            lambda: query_length.truncated(
                encoder.encode_texts, images, self.captions, image_of_caption, progress=progress
            ),
        )

    def misses(self) -> pd.DataFrame:
        """See `analysis.misses.causes.misses`."""
        return self.results.table("misses", lambda: causes.misses(*self.pairs, self.captions, self.truth))

    def image_probes(self, row: int, caption: str) -> list[counterfactuals.Probe]:
        """Probes of one image, each after its true caption.

        They are of its scene, where that is known, else of `caption`, one of its own.
        """
        rng = np.random.default_rng(row)
        if self.truth:
            made = counterfactuals.scene_probes(self.truth.scenes[row], rng)
        else:
            told = self.gallery.items["captions"].iloc[row]
            edits = word_edits(caption, rng, objects=self.object_words, told=told)
            made = [counterfactuals.Probe(*edit) for edit in edits]
        return counterfactuals.with_true_captions(made)

    def probe_accuracy(
        self, encoder: counterfactuals.TextEncoder, *, progress: Progress | None = None
    ) -> pd.DataFrame:
        """See `analysis.probes.probe_accuracy`; over 500 images. encoder: the one that made the gallery."""

        def compute() -> pd.DataFrame:
            images, _, image_of_caption = self.pairs
            made, rows = counterfactuals.gallery_probes(self.captions, image_of_caption, self.truth)
            tables = []
            for start in range(0, len(made) or 1, _PROBES):
                some = slice(start, start + _PROBES)
                tables.append(counterfactuals.probe_table(encoder, images, made[some], rows[some]))
                if progress:
                    progress(start, len(made))
            return counterfactuals.probe_accuracy(pd.concat(tables))

        return self.results.table("probes", compute)

    def calibration(self) -> Calibration:
        """See `analysis.calibration`; GalleryError where there are too few pairs to learn from."""
        results = self.results.arrays("calibration", lambda: asdict(Calibration.of(*self.pairs)))
        return Calibration(
            results["scores"], results["excess"], results["slope"], float(results["intercept"])
        )

    def map(self, kind: Kind, method: Method = "umap", *, progress: Progress | None = None) -> Maps:
        """Where images and captions lie in the plane: PCA takes a moment, UMAP a while."""

        def compute() -> Arrays:
            x = self._mapped(kind)
            return {"points": pca_map(x) if method == "pca" else umap_map(x, progress=progress)}

        return self._maps(kind, self.results.arrays(f"{method}-{kind}", compute)["points"])

    def prepare(self, *, umap: bool = True, progress: Progress | None = None) -> None:
        """Compute all that needs no encoder; without `umap` only what takes a few seconds.

        What this gallery cannot have, for want of captions, is left out.
        """
        tell = progress or (lambda done, total: None)
        quick: list[Callable[[], object]] = [partial(self.map, kind, "pca") for kind in KINDS]
        quick += [self.metrics, self.geometry, self.histograms, self.by_length, self.misses, self.calibration]
        slow = [partial(self.map, kind) for kind in KINDS] if umap else []
        steps = len(quick) + len(slow)
        for place, step in enumerate(quick):
            with suppress(GalleryError):
                step()
            tell(100 * (place + 1), 100 * steps)
        for place, step in enumerate(slow, len(quick)):
            with suppress(GalleryError):
                step(progress=_part(tell, place, steps))
        tell(100 * steps, 100 * steps)

    # ---- how they come about

    def _ranks(self) -> tuple[np.ndarray, np.ndarray]:
        images, texts, image_of_caption = self.pairs
        return ranks(CosineSimilarity(images, texts), image_of_caption)

    def _mapped(self, kind: Kind) -> np.ndarray:
        """The embeddings of a map, images first."""
        if kind == "images":
            return self.images
        images, texts, _ = self.pairs
        if kind == "captions":
            return texts
        return centred(images, texts) if kind == "centred" else np.concatenate([images, texts])

    def _maps(self, kind: Kind, points: np.ndarray) -> Maps:
        n, maps = len(self.images), {}
        if kind != "captions":
            maps["images"] = Map(self.images, points[:n])
        if kind != "images":
            maps["captions"] = Map(self.pairs[1], points[-len(self.captions) :])
        return maps


def same_items(galleries: Sequence[GalleryAnalysis]) -> bool:
    """Whether all hold the same images with the same captions, so that their models can be compared."""
    first, *others = (each.gallery for each in galleries)
    return all(
        each.manifest.source_fingerprint == first.manifest.source_fingerprint
        and each.items["image_id"].equals(first.items["image_id"])
        for each in others
    )


def aligned(
    galleries: Sequence[GalleryAnalysis], kind: Kind, *, progress: Progress | None = None
) -> list[Maps]:
    """UMAP of several models' galleries of the same source, an item in about the same place in each map.

    Kept in the folder of the first. Raises GalleryError where the items are not the same.
    """
    if not same_items(galleries):
        names = ", ".join(str(each.gallery.path) for each in galleries)
        raise GalleryError(
            f"{names} hold different pairs; build them from one source to lay their maps together."
        )

    def compute() -> Arrays:
        maps = aligned_maps([each._mapped(kind) for each in galleries], progress=progress)
        return {str(place): points for place, points in enumerate(maps)}

    together = _digest(*(each.gallery.manifest.checksum for each in galleries))
    results = galleries[0].results.arrays(f"aligned-{kind}-{together}", compute)
    return [each._maps(kind, results[str(place)]) for place, each in enumerate(galleries)]


def _versions(name: str) -> list[str]:
    """The declared version of a cached result and of everything that it is computed from."""
    base = name.partition("-")[0]  # "umap-joint" is declared as "umap"
    version, parts = RESULTS[base]
    return [f"{base} {version}", *(each for part in parts for each in _versions(part))]


def _part(tell: Progress, place: int, steps: int) -> Progress:
    """The progress of one of so many steps, as part of the whole."""
    return lambda done, total: tell(100 * place + 100 * done // total, 100 * steps)


def _digest(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
