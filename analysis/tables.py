"""All measures of one or several galleries, as one table per subject."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis, same_items
from analysis.misses.causes import confusion, shares
from itr_core.errors import GalleryError
from itr_core.gallery.names import unique_names
from itr_core.system.provenance import code_version

Subjects = Mapping[str, Callable[[GalleryAnalysis], pd.DataFrame]]
"""Subject -> function that makes the table of one gallery."""


def named(analyses: Sequence[GalleryAnalysis]) -> dict[str, GalleryAnalysis]:
    """Name each gallery by its folder, with numbers for repeated names.

    Raises:
        GalleryError: no galleries.
    """
    if not analyses:
        raise GalleryError("No galleries to analyse. Name the folder of at least one.")
    names = unique_names(each.gallery.path.resolve().name for each in analyses)
    return dict(zip(names, analyses, strict=True))


def tables(analyses: Mapping[str, GalleryAnalysis]) -> dict[str, pd.DataFrame]:
    """Return subject -> table. The first column is the name of the gallery.

    A gallery that cannot measure retrieval (`GalleryAnalysis.unpaired`) is in the first two tables only.

    galleries: source, model, size and hashes. geometry, metrics: one row per metric with value, low and high.
    histograms, query_length, causes, confusion, misses: see `GalleryAnalysis` and `analysis.misses.causes`;
    misses also have their texts and image ids (`with_items`). differences: see `differences`.
    """
    any_gallery: Subjects = {
        "galleries": _about,
        "geometry": lambda one: one.geometry().rename_axis("metric").reset_index(),
    }
    of_pairs: Subjects = {
        "metrics": lambda one: one.metrics().rename_axis("metric").reset_index(),
        "histograms": GalleryAnalysis.histograms,
        "query_length": GalleryAnalysis.by_length,
        "causes": lambda one: shares(one.misses()).rename_axis("cause").reset_index(),
        "confusion": lambda one: confusion(one.misses()),
        "misses": with_items,
    }
    paired = with_pairs(analyses)
    found = {
        subject: _stacked({name: table_of(one) for name, one in used.items()})
        for used, subjects in ((analyses, any_gallery), (paired, of_pairs))
        for subject, table_of in subjects.items()
    }
    return found | {"differences": differences(paired)}


def with_pairs(analyses: Mapping[str, GalleryAnalysis]) -> dict[str, GalleryAnalysis]:
    """Return the galleries that can measure retrieval."""
    return {name: one for name, one in analyses.items() if not one.unpaired}


def differences(analyses: Mapping[str, GalleryAnalysis]) -> pd.DataFrame:
    """Compare the metrics of all pairs of galleries with the same items by the paired bootstrap.

    Median ranks are skipped, since most of their bootstrap draws are equal.

    Returns:
        Columns: gallery, against (an earlier gallery), metric, difference (gallery minus against), low and
        high (95 % over images), p (two-sided).
    """
    records = []
    for (base_name, base), (name, model) in combinations(analyses.items(), 2):
        if not same_items([base, model]):
            continue
        for theirs, ours in zip(base.metric_samples(), model.metric_samples(), strict=True):
            if ours.metric != "medr":
                records.append((name, base_name, ours.name, *ours.minus(theirs)))
    columns = ["gallery", "against", "metric", "difference", "low", "high", "p"]
    return pd.DataFrame(records, columns=columns)


def with_items(analysis: GalleryAnalysis) -> pd.DataFrame:
    """Return the misses with the columns `asked` (query) and `answer` (result): captions and image ids."""
    misses, captions = analysis.misses(), np.array(analysis.captions)
    image_ids = analysis.gallery.items["image_id"].to_numpy()
    t2i = (misses["direction"] == "t2i").to_numpy()
    query, found = misses["query"].to_numpy(), misses["found"].to_numpy()
    caption, image_id = captions[np.where(t2i, query, found)], image_ids[np.where(t2i, found, query)]
    return misses.assign(asked=np.where(t2i, caption, image_id), answer=np.where(t2i, image_id, caption))


def _about(one: GalleryAnalysis) -> pd.DataFrame:
    manifest = one.gallery.manifest
    fields = [
        "source",
        "model",
        "images",
        "captions",
        "dim",
        "created",
        "source_fingerprint",
        "model_fingerprint",
    ]
    about = {field: getattr(manifest, field) for field in fields}
    about |= {"created": manifest.created.isoformat(), "skipped": len(manifest.skipped)}
    return pd.DataFrame([about | {"checksum": manifest.checksum, "code": code_version()}])


def _stacked(by_name: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    if not by_name:
        return pd.DataFrame({"gallery": []})
    stacked = [table.assign(gallery=name) for name, table in by_name.items()]
    return pd.concat(stacked, ignore_index=True)[["gallery", *stacked[0].columns[:-1]]]
