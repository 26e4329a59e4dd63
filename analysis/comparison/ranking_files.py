"""Rankings of all captions as files: TREC runs and judgments for other programs, and a CSV of ranks."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import numpy as np

from analysis.comparison.compared import SHOWN, Compared
from analysis.gallery_analysis import GalleryAnalysis

_CAPTIONS = 1_000
_IMAGES = 256


def trec_run(analysis: GalleryAnalysis, model: str) -> Iterator[str]:
    """Yield the first 20 images of every caption in blocks of lines `query Q0 image rank score model`.

    A query is named IMAGE#NUMBER, its image and its number among the captions of the image. Names are
    percent-encoded where they have spaces.

    Args:
        analysis: of the gallery.
        model: name of the model.
    """
    first, queries, images = analysis.compared().first, _queries(analysis), _images(analysis)
    for start in range(0, len(first), _CAPTIONS):
        rows = first[start : start + _CAPTIONS]
        scores = np.einsum("qd,qkd->qk", analysis.texts[start : start + _CAPTIONS], analysis.images[rows])
        yield "".join(
            f"{queries[query]} Q0 {images[image]} {rank} {score:.9g} {_name(model)}\n"
            for query, (found, cosines) in enumerate(zip(rows.tolist(), scores.tolist(), strict=True), start)
            for rank, (image, score) in enumerate(zip(found, cosines, strict=True), 1)
        )


def trec_judgments(analysis: GalleryAnalysis) -> Iterator[str]:
    """Yield the right images of all captions in blocks of lines `query 0 image 1`, ordered by image.

    Without known truth, only the image of a caption is right.
    """
    queries, images = _queries(analysis), _images(analysis)
    own, truth = analysis.pairs[2], analysis.truth
    for start in range(0, len(images), _IMAGES):
        rows = np.arange(start, min(start + _IMAGES, len(images)))
        right = own == rows[:, None] if truth is None else truth.matrix(rows)
        yield "".join(
            f"{queries[query]} 0 {images[start + image]} 1\n" for image, query in np.argwhere(right).tolist()
        )


def ranks_csv(analyses: Mapping[str, GalleryAnalysis]) -> Iterator[str]:
    """Yield a table of all captions with the results of each model, in blocks of lines.

    Columns: query (as in `trec_run`), text, right_images (their number), and for each model the rank of the
    image of the caption, the first image, whether it is right, and the right images among the first 12.

    Args:
        analyses: name of a model -> analysis of its gallery, all of the same images.
    """
    one = next(iter(analyses.values()))
    models: dict[str, Compared] = {name: each.compared() for name, each in analyses.items()}
    queries, images = _queries(one), one.gallery.items["image_id"].tolist()
    columns = ("rank", "first", "first_right", f"right_in_{SHOWN}")
    of_models = [f"{name}: {column}" for name in models for column in columns]
    yield _lines([["query", "text", "right_images", *of_models]])
    for start in range(0, len(queries), _CAPTIONS):
        yield _lines(
            [
                [queries[row], _plain(one.captions[row]), next(iter(models.values())).rights[row]]
                + [
                    cell
                    for each in models.values()
                    for cell in (
                        each.own[row], images[each.first[row, 0]], int(each.right[row, 0]),
                        each.right[row, :SHOWN].sum(),
                    )
                ]
                for row in range(start, min(start + _CAPTIONS, len(queries)))
            ]
        )  # fmt: skip


def _queries(analysis: GalleryAnalysis) -> list[str]:
    return [
        f"{_name(image)}#{number}"
        for image, captions in zip(
            analysis.gallery.items["image_id"], analysis.gallery.items["captions"], strict=True
        )
        for number in range(len(captions))
    ]


def _images(analysis: GalleryAnalysis) -> list[str]:
    return [_name(image) for image in analysis.gallery.items["image_id"]]


def _name(text: str) -> str:
    return quote(text, safe="!\"#$&'()*+,/:;<=>?@[\\]^`{|}~") or "-"


def _plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _lines(rows: Sequence[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()
