"""Everything that is measured of one or several galleries, as one table for each subject."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis, same_items
from analysis.misses.causes import confusion, shares
from itr_core.errors import GalleryError
from itr_core.metrics.bootstrap import interval, two_sided_p
from itr_core.system.provenance import code_version


def named(galleries: Sequence[GalleryAnalysis]) -> dict[str, GalleryAnalysis]:
    """Call each by its folder, counting up where folders are called alike; GalleryError without any pairs."""
    by_name: dict[str, GalleryAnalysis] = {}
    for each in galleries:
        _ = each.pairs  # says what is missing
        name = each.gallery.path.resolve().name
        taken = sum(other == name or other.startswith(f"{name} (") for other in by_name)
        by_name[f"{name} ({taken + 1})" if taken else name] = each
    if not by_name:
        raise GalleryError("There is no gallery to analyse; name the folder of one.")
    return by_name


def tables(galleries: Mapping[str, GalleryAnalysis]) -> dict[str, pd.DataFrame]:
    """Subject -> a table whose first column is the gallery; of `differences`, two galleries.

    galleries: what they are. metrics, geometry: a row for each measure with value, low and high. differences:
    the metrics of the second gallery less those of the first, where both hold the same pairs. histograms,
    query_length, causes, confusion, misses: see `analysis`; of misses also what was asked and found.
    """
    each = {
        "galleries": _about,
        "metrics": lambda one: one.metrics().rename_axis("metric").reset_index(),
        "geometry": lambda one: one.geometry().rename_axis("metric").reset_index(),
        "histograms": GalleryAnalysis.histograms,
        "query_length": GalleryAnalysis.by_length,
        "causes": lambda one: shares(one.misses()).rename_axis("cause").reset_index(),
        "confusion": lambda one: confusion(one.misses()),
        "misses": told,
    }
    found = {
        subject: _stacked({n: make(one) for n, one in galleries.items()}) for subject, make in each.items()
    }
    return found | {"differences": differences(galleries)}


def differences(galleries: Mapping[str, GalleryAnalysis]) -> pd.DataFrame:
    """Every metric of one gallery less that of an earlier one of the same pairs, by paired bootstrap.

    Columns: gallery, against, metric, difference, low, high (95 %, over images), p (two-sided). Medians are
    left out: their draws tie.
    """
    records = []
    for (name, base), (other, model) in combinations(galleries.items(), 2):
        if not same_items([base, model]):
            continue
        for theirs, ours in zip(base.figures(), model.figures(), strict=True):
            if ours.metric == "medr":
                continue
            gaps = ours.bootstrap() - theirs.bootstrap()
            records.append(
                (other, name, ours.name, ours.value - theirs.value, *interval(gaps), two_sided_p(gaps))
            )
    columns = ["gallery", "against", "metric", "difference", "low", "high", "p"]
    return pd.DataFrame(records, columns=columns)


def told(gallery: GalleryAnalysis) -> pd.DataFrame:
    """The misses with `asked` and `answer`: a caption as it is, an image by its id."""
    misses, ids, captions = gallery.misses(), gallery.gallery.items["image_id"], np.array(gallery.captions)
    t2i = (misses["direction"] == "t2i").to_numpy()
    asked, found = misses["query"].to_numpy(), misses["found"].to_numpy()
    words, image = np.where(t2i, asked, found), np.where(t2i, found, asked)
    caption, picture = captions[words], ids.to_numpy()[image]
    return misses.assign(asked=np.where(t2i, caption, picture), answer=np.where(t2i, picture, caption))


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
    named = [table.assign(gallery=name) for name, table in by_name.items()]
    return pd.concat(named, ignore_index=True)[["gallery", *named[0].columns[:-1]]]
