"""All measures of one or several galleries, as one table per subject."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis, same_items
from analysis.misses.causes import confusion, shares
from itr_core.errors import GalleryError
from itr_core.gallery.names import unique_names
from itr_core.system.provenance import code_version


def named(analyses: Sequence[GalleryAnalysis]) -> dict[str, GalleryAnalysis]:
    """Name each gallery by its folder, with numbers for repeated names.

    Raises:
        GalleryError: no galleries, or one without pairs.
    """
    if not analyses:
        raise GalleryError("No galleries to analyse. Name the folder of at least one.")
    for each in analyses:
        _ = each.pairs  # raises if there are none
    names = unique_names(each.gallery.path.resolve().name for each in analyses)
    return dict(zip(names, analyses, strict=True))


def tables(analyses: Mapping[str, GalleryAnalysis]) -> dict[str, pd.DataFrame]:
    """Return subject -> table. The first column is the name of the gallery.

    galleries: source, model, size and hashes. metrics, geometry: one row per metric with value, low and high.
    histograms, query_length, causes, confusion, misses: see `GalleryAnalysis` and `analysis.misses.causes`;
    misses also have their texts and image ids (`with_items`). differences: see `differences`.
    """
    compute = {
        "galleries": _about,
        "metrics": lambda one: one.metrics().rename_axis("metric").reset_index(),
        "geometry": lambda one: one.geometry().rename_axis("metric").reset_index(),
        "histograms": GalleryAnalysis.histograms,
        "query_length": GalleryAnalysis.by_length,
        "causes": lambda one: shares(one.misses()).rename_axis("cause").reset_index(),
        "confusion": lambda one: confusion(one.misses()),
        "misses": with_items,
    }
    found = {
        subject: _stacked({name: table_of(one) for name, one in analyses.items()})
        for subject, table_of in compute.items()
    }
    return found | {"differences": differences(analyses)}


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
    stacked = [table.assign(gallery=name) for name, table in by_name.items()]
    return pd.concat(stacked, ignore_index=True)[["gallery", *stacked[0].columns[:-1]]]
