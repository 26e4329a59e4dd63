"""Title, unit, range, direction, definition and source of every metric of the embedding space."""

from itr_core.metrics.catalogue import Metric

_WANG = "Wang & Isola, ICML 2020, arXiv:2005.10242"
_ASCL = "AsCL, Fig. 4, arXiv:2405.10029"
_HUBS = "Radovanović et al., JMLR 11, 2010"
_RANK = "Roy & Vetterli, EUSIPCO 2007; RankMe, arXiv:2210.02885"
_DISTANCE = "Euclidean distance"
_UNIFORMITY = (
    "How evenly {} cover the sphere: 0 if all are one point, about -4 if they point in all directions."
)

GEOMETRY: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "alignment",
            "Alignment",
            "squared distance",
            (0, 4),
            "lower",
            "Mean squared Euclidean distance of a caption to its own picture.",
            _WANG,
        ),
        Metric(
            "uniformity_images",
            "Uniformity of pictures",
            "",
            (None, 0),
            "lower",
            _UNIFORMITY.format("pictures"),
            _WANG,
        ),
        Metric(
            "uniformity_captions",
            "Uniformity of captions",
            "",
            (None, 0),
            "lower",
            _UNIFORMITY.format("captions"),
            _WANG,
        ),
        Metric(
            "uniformity_joint",
            "Joint uniformity",
            "",
            (None, 0),
            "lower",
            _UNIFORMITY.format("pictures and captions together"),
            _WANG,
        ),
        Metric(
            "modality_gap",
            "Modality gap",
            _DISTANCE,
            (0, 2),
            "",
            "Distance between the mean picture embedding and the mean caption embedding.",
            "Liang et al., NeurIPS 2022, arXiv:2203.02053",
        ),
        Metric(
            "positive_distance",
            "Distance of pairs",
            _DISTANCE,
            (0, 2),
            "lower",
            "Mean distance of a caption to its own picture.",
            _ASCL,
        ),
        Metric(
            "negative_distance",
            "Distance of non-pairs",
            _DISTANCE,
            (0, 2),
            "higher",
            "Mean distance of a caption to the pictures of other captions.",
            _ASCL,
        ),
        Metric(
            "hubness_images",
            "Hubness of pictures",
            "",
            (None, None),
            "lower",
            "Skewness of the number of captions that have a picture among their 10 nearest pictures. 0: all "
            "pictures are found equally often; above 1: a few pictures are found for many captions.",
            _HUBS,
        ),
        Metric(
            "hubness_captions",
            "Hubness of captions",
            "",
            (None, None),
            "lower",
            "Skewness of the number of pictures that have a caption among their 10 nearest captions. 0: all "
            "captions are found equally often; above 1: a few captions are found for many pictures.",
            _HUBS,
        ),
        Metric(
            "effective_rank_images",
            "Effective rank of pictures",
            "dimensions",
            (1, None),
            "higher",
            "Number of dimensions that the picture embeddings use: exp of the entropy of their normalised "
            "singular values. At most the dimension of the space.",
            _RANK,
        ),
        Metric(
            "effective_rank_captions",
            "Effective rank of captions",
            "dimensions",
            (1, None),
            "higher",
            "Number of dimensions that the caption embeddings use: exp of the entropy of their normalised "
            "singular values. At most the dimension of the space.",
            _RANK,
        ),
    )
}
"""Name -> metric: the rows of `analysis.geometry.measures.geometry`."""

NEAREST = 10
"""Nearest items that count for hubness."""
_NEEDS = {
    "uniformity_images": (2, 0),
    "uniformity_captions": (0, 2),
    "negative_distance": (2, 1),
    "hubness_images": (NEAREST + 1, 1),
    "hubness_captions": (1, NEAREST + 1),
    "effective_rank_images": (1, 0),
}
"""Name -> fewest images and captions, if not one of each. Among 10 items or fewer, all are nearest ones."""


def missing(name: str, images: int, captions: int) -> str:
    """Return what a metric needs and a gallery does not have; "" if the metric is defined.

    Args:
        name: of a metric in `GEOMETRY`.
        images: number of images of the gallery.
        captions: number of its captions.

    >>> missing("uniformity_captions", 24, 1), missing("alignment", 24, 1)
    ('needs 2 captions', '')
    """
    least_images, least_captions = _NEEDS.get(name, (1, 1))
    if captions < least_captions:
        return f"needs {least_captions} captions" if least_captions > 1 else "needs captions"
    return f"needs {least_images} pictures" if images < least_images else ""
