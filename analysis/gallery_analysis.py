"""Analysis of one gallery. Results are computed once and cached in the gallery's folder."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property, partial
from typing import Literal, get_args

import numpy as np
import pandas as pd

from analysis import query_length
from analysis.calibration import Calibration
from analysis.comparison.compared import Compared
from analysis.confidence import Confidence, PictureCalibration, Said
from analysis.corrections import known_words
from analysis.example_batch import ExampleBatch, example_batch
from analysis.geometry import measures
from analysis.ground_truth import truth_of
from analysis.judged_truth import JudgedTruth, judged_truth
from analysis.misses import causes
from analysis.probes import counterfactuals
from analysis.probes.word_edits import object_words, word_edits
from analysis.projection import Map, aligned_maps, centred, pca_map, umap_map
from analysis.query_truth import CaptionOwners, GalleryTruth, Judged, gallery_truth, judge
from analysis.ready_made import ready_made
from analysis.report_card.measure import report_card
from analysis.result_store import Arrays, ResultStore, key
from analysis.result_versions import versions_of
from itr_core.encoders.encoder import Encoder
from itr_core.errors import GalleryError
from itr_core.evaluation.human_judgments import ExpertGrade
from itr_core.gallery import Gallery
from itr_core.metrics import CosineSimilarity, ranks
from itr_core.metrics.bootstrap import interval
from itr_core.metrics.samples import MetricSamples, recalls
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.system.progress import Progress

FOLDER = "analysis"
"""Folder of the results inside a gallery: not in the manifest, not served, deleted when it is rebuilt."""

Kind = Literal["joint", "centred", "images", "captions"]
"""Kind of a map: both modalities, both without the modality gap, or one of them."""
KINDS: tuple[Kind, ...] = get_args(Kind)
Method = Literal["pca", "umap"]
Maps = dict[str, Map]
"""Modality ("images", "captions") -> its map."""

_ROWS = 256
_PROBES = 200


class GalleryAnalysis:
    """All measures of one gallery, each computed at its first use.

    Results are cached in the gallery's folder under a hash of its manifest and of their declared version
    (`analysis.result_versions`), so a gallery that was built again never gets results of the old one. The
    results of the demo gallery are shipped (`analysis.ready_made`).

    The geometry and the maps exist for every gallery. Methods that need pairs raise GalleryError if the
    gallery has fewer than two images or no caption. Slow methods take `progress`; an exception that it
    raises ends the work.

    Args:
        gallery: The gallery.
        experts: Expert judgments, see `analysis.judged_truth.judged_truth`.
    """

    def __init__(self, gallery: Gallery, experts: Sequence[ExpertGrade] = ()) -> None:
        self.gallery = gallery
        self._experts = experts
        self.captions = [caption for captions in gallery.items["captions"] for caption in captions]
        self.results = ResultStore(
            gallery.path / FOLDER,
            lambda name: key(gallery.manifest.checksum, *versions_of(name)),
            ready_made(gallery.manifest),
        )

    @cached_property
    def images(self) -> np.ndarray:
        """Embeddings of the images (n, d), in memory or mapped from disk as one array."""
        return np.asarray(self.gallery.image_embeddings)

    @cached_property
    def texts(self) -> np.ndarray:
        """Embeddings of the captions (m, d), as those of the images."""
        return np.asarray(self.gallery.text_embeddings)

    @cached_property
    def query_truth(self) -> GalleryTruth | JudgedTruth | None:
        """Which images a query is true of; None for galleries of which this is not known."""
        return gallery_truth(self.gallery) or judged_truth(self.gallery, self._experts)

    @cached_property
    def caption_owners(self) -> CaptionOwners:
        """Which images a text is a caption of."""
        return CaptionOwners(self.gallery)

    @cached_property
    def known_words(self) -> Counter[str]:
        """Words of queries that need no correction, with their frequencies in the gallery's captions."""
        return known_words(self.gallery)

    def judged(self, query: str, embedding: np.ndarray, rows: Sequence[int]) -> Judged:
        """Judge the images found for a query.

        Args:
            query: The query.
            embedding: Its embedding (d,).
            rows: Rows of the images found, best first.
        """
        truth = self.query_truth.of_query(query) if self.query_truth else None
        return judge(truth, self.caption_owners.rows(query), rows, self.images @ embedding)

    @cached_property
    def unpaired(self) -> str:
        """A sentence on what the gallery needs before retrieval can be measured; "" if nothing."""
        n, m = len(self.images), len(self.captions)
        if n >= 2 and m:
            return ""
        return (
            f"This gallery has {n:,} {'picture' if n == 1 else 'pictures'} and {m:,} "
            f"{'caption' if m == 1 else 'captions'}. Measuring retrieval needs at least two pictures and one "
            "caption."
        )

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images (n, d), captions (m, d) and the image row of each caption (m,)."""
        if self.unpaired:
            raise GalleryError(self.unpaired)
        return self.images, self.texts, self.gallery.image_of_caption

    @cached_property
    def object_words(self) -> list[str]:
        """Words for objects in the captions: see `analysis.probes.word_edits.object_words`."""
        return object_words(self.captions)

    @cached_property
    def truth(self) -> SceneRelevance | None:
        """Which caption is true of which image, if known: see `analysis.ground_truth.truth_of`."""
        return truth_of(self.gallery)

    @cached_property
    def example_batch(self) -> ExampleBatch:
        """A batch of eight pairs: see `analysis.example_batch.example_batch`."""
        return example_batch(self.gallery)

    # ---- results

    def ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """Return T2I ranks (m,) and I2T ranks (n,): see `itr_core.metrics.ranks`."""

        def compute() -> Arrays:
            images, texts, image_of_caption = self.pairs
            t2i, i2t = ranks(CosineSimilarity(images, texts), image_of_caption)
            return {"t2i": t2i, "i2t": i2t}

        results = self.results.arrays("ranks", compute)
        return results["t2i"], results["i2t"]

    def metric_samples(self) -> list[MetricSamples]:
        """Return the metrics of the standard protocol with their queries, to compare with another model."""
        return recalls("standard", *self.ranks(), self.pairs[2])

    def metrics(self) -> pd.DataFrame:
        """Return the standard protocol. Index: t2i_r1, ..., rsum, ...; columns value, low, high, queries."""

        def compute() -> pd.DataFrame:
            samples = self.metric_samples()
            bounds = np.array([interval(each.bootstrap()) for each in samples])
            queries = [sum(len(part.values) for part in each.parts) for each in samples]
            columns = {"value": [each.value for each in samples], "low": bounds[:, 0], "high": bounds[:, 1]}
            return pd.DataFrame(columns | {"queries": queries}, index=[each.name for each in samples])

        return self.results.table("metrics", compute)

    def compared(self) -> Compared:
        """See `analysis.comparison.compared.Compared`."""
        results = self.results.arrays(
            "compared", lambda: vars(Compared.of(*self.pairs, self.ranks(), self.truth))
        )
        return Compared(**results)

    def geometry(self) -> pd.DataFrame:
        """See `analysis.geometry.measures.geometry`."""
        return self.results.table(
            "geometry",
            lambda: measures.geometry(self.images, self.texts, self.gallery.image_of_caption),
        )

    def histograms(self) -> pd.DataFrame:
        """See `analysis.geometry.measures.similarity_histograms`."""
        return self.results.table("histograms", lambda: measures.similarity_histograms(*self.pairs))

    def true_images(self) -> np.ndarray | None:
        """Return the number of images that each caption is true of, (m,); None if the truth is not known."""
        truth = self.truth
        if truth is None:
            return None

        def compute() -> Arrays:
            count = np.zeros(len(self.captions), np.int64)
            for start in range(0, len(self.images), _ROWS):
                count += truth.matrix(slice(start, start + _ROWS)).sum(axis=0)
            return {"count": count}

        return self.results.arrays("true_images", compute)["count"]

    def by_length(self) -> pd.DataFrame:
        """See `analysis.query_length.by_length`."""

        def compute() -> pd.DataFrame:
            return query_length.by_length(
                self.ranks()[0], self.captions, self.pairs[2], true_images=self.true_images()
            )

        return self.results.table("by_length", compute)

    def truncated(
        self, encoder: counterfactuals.TextEncoder, *, progress: Progress | None = None
    ) -> pd.DataFrame:
        """See `analysis.query_length.truncated`. The encoder must be the one that built the gallery."""
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
        """Return the probes of one image, each after its true caption.

        Args:
            row: of the image.
            caption: one of its captions, which is edited if the scene of the image is not known.
        """
        random = np.random.default_rng(row)
        if self.truth:
            probes = counterfactuals.scene_probes(self.truth.scenes[row], random)
        else:
            edits = word_edits(
                caption, random, objects=self.object_words, captions=self.gallery.items["captions"].iloc[row]
            )
            probes = [counterfactuals.Probe(*edit) for edit in edits]
        return counterfactuals.with_true_captions(probes)

    def probe_accuracy(
        self, encoder: counterfactuals.TextEncoder, *, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Return `analysis.probes.counterfactuals.probe_accuracy` over at most 500 images.

        The encoder must be the one that built the gallery.
        """

        def compute() -> pd.DataFrame:
            images, _, image_of_caption = self.pairs
            probes, rows = counterfactuals.gallery_probes(self.captions, image_of_caption, self.truth)
            tables = []
            for start in range(0, len(probes) or 1, _PROBES):
                part = slice(start, start + _PROBES)
                tables.append(counterfactuals.probe_table(encoder, images, probes[part], rows[part]))
                if progress:
                    progress(start, len(probes))
            return counterfactuals.probe_accuracy(pd.concat(tables))

        return self.results.table("probes", compute)

    def report_card(self, encoder: Encoder, *, progress: Progress | None = None) -> pd.DataFrame:
        """Return `analysis.report_card.measure.report_card` of the encoder that built the gallery."""
        return self.results.table("report_card", lambda: report_card(encoder, progress=progress))

    def calibration(self) -> Calibration:
        """See `analysis.calibration`; raises GalleryError if there are too few pairs to learn from."""
        results = self.results.arrays("calibration", lambda: asdict(Calibration.of(*self.pairs)))
        of_scores = {name: array for name, array in results.items() if name != "intercept"}
        return Calibration(**of_scores, intercept=float(results["intercept"]))

    def picture_calibration(self) -> PictureCalibration:
        """See `analysis.confidence.PictureCalibration`; raises GalleryError if there are too few images."""
        results = self.results.arrays(
            "picture_calibration", lambda: asdict(PictureCalibration.of(np.asarray(self.images)))
        )
        return PictureCalibration(**results)

    def confidence(self) -> Confidence:
        """Return the tests for queries and pictures without a match, as far as the gallery allows them."""
        queries = pictures = None
        with suppress(GalleryError):
            queries = self.calibration()
        with suppress(GalleryError):
            pictures = self.picture_calibration()
        return Confidence(Said(self.captions), queries, pictures)

    def map(self, kind: Kind, method: Method = "umap", *, progress: Progress | None = None) -> Maps:
        """Return a map of images and captions: PCA in less than a second, UMAP in seconds to minutes.

        See `kind_of_map` for galleries without captions.
        """
        kind = self.kind_of_map(kind)

        def compute() -> Arrays:
            x = self.map_rows(kind)
            return {"points": pca_map(x) if method == "pca" else umap_map(x, progress=progress)}

        return self._maps(kind, self.results.arrays(f"{method}-{kind}", compute)["points"])

    def prepare(self, *, umap: bool = True, progress: Progress | None = None) -> None:
        """Compute and cache all results that need no encoder, skipping those that need missing captions.

        Args:
            umap: compute the UMAP maps too. All other results take a few seconds.
            progress: see `Progress`.
        """
        report = progress or (lambda done, total: None)
        quick: list[Callable[[], object]] = [partial(self.map, kind, "pca") for kind in KINDS]
        quick += [self.metrics, self.geometry, self.histograms, self.by_length, self.misses, self.calibration]
        quick.append(self.picture_calibration)
        slow = [partial(self.map, kind) for kind in KINDS] if umap else []
        steps = len(quick) + len(slow)
        for index, step in enumerate(quick):
            with suppress(GalleryError):
                step()
            report(100 * (index + 1), 100 * steps)
        for index, step in enumerate(slow, len(quick)):
            with suppress(GalleryError):
                step(progress=_progress_of_step(report, index, steps))
        report(100 * steps, 100 * steps)

    # ---- maps

    def kind_of_map(self, kind: Kind) -> Kind:
        """Return the kind of map that `map` returns for `kind`: without captions always that of images."""
        return kind if self.captions else "images"

    def map_rows(self, kind: Kind) -> np.ndarray:
        """Embeddings that a map of this kind shows, images first."""
        images, texts = self.images, self.texts
        if kind in ("images", "captions"):
            return images if kind == "images" else texts
        return centred(images, texts) if kind == "centred" else np.concatenate([images, texts])

    def _maps(self, kind: Kind, points: np.ndarray) -> Maps:
        maps = {}
        if kind != "captions":
            maps["images"] = Map(self.images, points[: len(self.images)])
        if kind != "images" and self.captions:
            maps["captions"] = Map(self.texts, points[-len(self.captions) :])
        return maps


def same_items(analyses: Sequence[GalleryAnalysis]) -> bool:
    """Return true if all galleries contain the same images with the same captions."""
    first, *others = (each.gallery for each in analyses)
    return all(
        each.manifest.source_fingerprint == first.manifest.source_fingerprint
        and each.items["image_id"].equals(first.items["image_id"])
        for each in others
    )


def aligned(
    analyses: Sequence[GalleryAnalysis], kind: Kind, *, progress: Progress | None = None
) -> list[Maps]:
    """Compute UMAP maps of several models, with each item at about the same place in every map.

    The result is cached in the folder of the first gallery.

    Raises:
        GalleryError: the galleries contain different pairs.
    """
    if not same_items(analyses):
        names = ", ".join(str(each.gallery.path) for each in analyses)
        raise GalleryError(
            f"{names} contain different pairs. To align their maps, build them from the same source."
        )

    def compute() -> Arrays:
        maps = aligned_maps([each.map_rows(kind) for each in analyses], progress=progress)
        return {str(index): points for index, points in enumerate(maps)}

    together = key(*(each.gallery.manifest.checksum for each in analyses))
    results = analyses[0].results.arrays(f"aligned-{kind}-{together}", compute)
    return [each._maps(kind, results[str(index)]) for index, each in enumerate(analyses)]


def _progress_of_step(report: Progress, index: int, steps: int) -> Progress:
    """Progress of one step, as a part of all steps."""
    return lambda done, total: report(100 * index + 100 * done // total, 100 * steps)
