"""Files of ranks, read by other programs."""

import csv
import io
from typing import Any

import ir_measures
import pytest
from ir_measures import R, Success

from analysis.comparison.ranking_files import ranks_csv, trec_judgments, trec_run
from analysis.gallery_analysis import GalleryAnalysis


def test_trec_eval_measures_what_we_measure(analyses: list[GalleryAnalysis]) -> None:
    analysis = analyses[0]
    read_run: Any = ir_measures.read_trec_run  # without types
    read_judgments: Any = ir_measures.read_trec_qrels
    run = list(read_run("".join(trec_run(analysis, "my model"))))
    judgments = list(read_judgments("".join(trec_judgments(analysis))))
    found = ir_measures.calc_aggregate([R @ 12, Success @ 1], judgments, run)
    compared = analysis.compared()
    recall = (compared.right[:, :12].sum(axis=1) / compared.rights).mean()
    assert found[R @ 12] == pytest.approx(recall)
    assert found[Success @ 1] == pytest.approx(compared.right[:, 0].mean())
    assert {line.doc_id for line in run} <= set(analysis.gallery.items["image_id"])
    assert len(run) == 20 * len(compared.first)


def test_a_run_has_six_fields_in_each_line(analyses: list[GalleryAnalysis]) -> None:
    lines = "".join(trec_run(analyses[0], "my model")).splitlines()
    query, q0, image, rank, score, tag = lines[0].split()
    ids = analyses[0].gallery.items["image_id"].tolist()
    assert (query, q0, rank, tag) == (f"{ids[0]}#0", "Q0", "1", "my%20model")
    assert image == ids[analyses[0].compared().first[0, 0]]
    assert -1 <= float(score) <= 1
    assert all(len(line.split()) == 6 for line in lines)


def test_the_csv_has_a_row_for_each_caption_with_the_ranks_of_all_models(
    analyses: list[GalleryAnalysis],
) -> None:
    text = "".join(ranks_csv({"A": analyses[0], "B": analyses[2]}))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["text"] for row in rows] == analyses[0].captions
    ranks = analyses[2].ranks()[0]
    assert [float(row["B: rank"]) for row in rows] == ranks.tolist()
    right = analyses[0].compared().right
    assert [row["A: first_right"] for row in rows] == [str(int(each)) for each in right[:, 0]]
    assert [int(row["A: right_in_12"]) for row in rows] == right[:, :12].sum(axis=1).tolist()
