"""What the measures of `analysis.geometry` are called and how to read them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """How to read a measure. `better`: "lower", "higher" or "" where neither is; `source`: paper or book."""

    title: str
    sentence: str
    better: str
    source: str


_WANG = "Wang & Isola, ICML 2020, arXiv:2005.10242"
_ASCL = "AsCL, Fig. 4, arXiv:2405.10029"
_HUBS = "Radovanović et al., JMLR 11, 2010"
_RANK = "Roy & Vetterli, EUSIPCO 2007; RankMe, arXiv:2210.02885"
MEASURES = {
    "alignment": Measure(
        "Alignment",
        "Mean squared distance of a caption to its own image: how near pairs are.",
        "lower",
        _WANG,
    ),
    "uniformity_images": Measure(
        "Uniformity of images",
        "How evenly images fill the sphere: 0 if all are in one point, -4 if spread in all directions.",
        "lower",
        _WANG,
    ),
    "uniformity_captions": Measure(
        "Uniformity of captions",
        "How evenly captions fill the sphere: 0 if all are in one point, -4 if spread in all directions.",
        "lower",
        _WANG,
    ),
    "uniformity_joint": Measure(
        "Uniformity of both",
        "How evenly images and captions together fill the sphere: 0 in one point, -4 in all directions.",
        "lower",
        _WANG,
    ),
    "modality_gap": Measure(
        "Modality gap",
        "Distance between the mean image and the mean caption: 0 if both lie in the same region.",
        "",
        "Liang et al., NeurIPS 2022, arXiv:2203.02053",
    ),
    "positive_distance": Measure(
        "Distance of pairs", "Mean distance of a caption to its own image, from 0 to 2.", "lower", _ASCL
    ),
    "negative_distance": Measure(
        "Distance of non-pairs", "Mean distance of a caption to the images of others.", "higher", _ASCL
    ),
    "hubness_images": Measure(
        "Hubness of images",
        "Skew of how often an image is among the first 10 for a caption: above 1, a few images are found "
        "for everything.",
        "lower",
        _HUBS,
    ),
    "hubness_captions": Measure(
        "Hubness of captions",
        "Skew of how often a caption is among the first 10 for an image: above 1, a few captions are found "
        "for everything.",
        "lower",
        _HUBS,
    ),
    "effective_rank_images": Measure(
        "Effective rank of images", "How many dimensions the images use in effect.", "higher", _RANK
    ),
    "effective_rank_captions": Measure(
        "Effective rank of captions", "How many dimensions the captions use in effect.", "higher", _RANK
    ),
}
"""Name -> how to read it: the rows of `geometry`."""
