"""Evaluation: the model's own embeddings and nothing else decide, and what was measured is said."""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import ModelError, PairscopeError, SourceError
from itr_core.evaluation import evaluate
from itr_core.metrics import ranks, retrieval_metrics
from itr_core.metrics.bootstrap import image_bootstrap, interval, resampled, two_sided_p
from itr_core.pairs import PairSet, load_pairs
from itr_core.system import provenance
from itr_core.system.provenance import code_version


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("picturebook-vit/none", device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    lines = ["image,caption"]
    for index in range(12):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(tmp_path / f"{index:02}.png")
        lines += [f"{index:02}.png,picture {index} told {k} times" for k in range(index % 4)]
    (tmp_path / "captions.txt").write_text("\n".join(lines))
    return tmp_path


def expected(encoder: DualEncoder, pairs: PairSet, rows: list[int]) -> dict[str, float]:
    images = encoder.encode_images([pairs.image(row) for row in rows])
    image_of_caption = [place for place, row in enumerate(rows) for _ in pairs.captions[row]]
    texts = encoder.encode_texts([text for row in rows for text in pairs.captions[row]])
    return retrieval_metrics(images @ texts.T, np.array(image_of_caption))


def test_metrics_equal_those_of_the_embeddings_with_provenance(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    result = evaluate(encoder, pairs)
    figures = expected(encoder, pairs, list(range(12)))
    assert {name: result[name] for name in figures} == pytest.approx(figures)
    assert (result["n_images"], result["n_captions"]) == (12, 18)
    assert (result["model"], result["source"]) == ("picturebook-vit/none", pairs.source)
    assert (result["model_sha256"], result["source_sha256"]) == (encoder.fingerprint, pairs.fingerprint)
    assert result["skipped"] == []


def test_undecodable_images_are_skipped_with_their_captions(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:80])
    result = evaluate(encoder, pairs)
    rows = [row for row in range(12) if row != 5]
    assert result["rsum"] == pytest.approx(expected(encoder, pairs, rows)["rsum"])
    assert (result["n_images"], result["n_captions"]) == (11, 17)
    assert len(result["skipped"]) == 1
    assert result["skipped"][0].startswith("05.png")


def test_image_features_replace_images(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    features = encoder.image_features(pairs.image(row) for row in range(12))
    assert evaluate(encoder, pairs, features) == evaluate(encoder, pairs)
    with pytest.raises(SourceError, match="11 rows of features, but 12 images"):
        evaluate(encoder, pairs, features[1:])


def classes(folder: Path, labels: str) -> PairSet:
    """Images without captions, one for each letter of `labels`, which is its label."""
    folder.mkdir()
    random = np.random.default_rng(len(labels))
    lines = ["image,label"]
    for row, label in enumerate(labels):
        Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(folder / f"{row}.png")
        lines.append(f"{row}.png,{label}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return load_pairs(f"table:{folder / 'labels.csv'}", columns={"captions": [], "labels": "label"})


def test_sources_without_captions_are_measured_by_labels_only(encoder: DualEncoder, tmp_path: Path) -> None:
    pairs = classes(tmp_path / "queries", "aabb")
    result = evaluate(encoder, pairs, protocols=["uni-modal"])
    images = encoder.encode_images(pairs.image(row) for row in range(4))
    similarity = images @ images.T - 9 * np.eye(4)
    hits = [similarity[row].argmax() == row ^ 1 for row in range(4)]
    assert result["uni_modal_i2i_r1"] == 100 * np.mean(hits)
    assert (result["n_images"], result["n_captions"]) == (4, 0)
    with pytest.raises(SourceError, match=r"No image of .* has a caption.*uni-modal"):
        evaluate(encoder, pairs)


def test_images_search_a_database(encoder: DualEncoder, tmp_path: Path) -> None:
    pairs, database = classes(tmp_path / "queries", "ab"), classes(tmp_path / "database", "abcab")
    result = evaluate(encoder, pairs, protocols=["uni-modal"], database=database)
    of_queries, of_items = (
        encoder.encode_images(each.image(row) for row in range(len(each))) for each in (pairs, database)
    )
    best = (of_queries @ of_items.T).argmax(axis=1)
    assert result["uni_modal_i2i_r1"] == 100 * np.mean([best[0] in (0, 3), best[1] in (1, 4)])
    assert (result["database"], result["database_sha256"]) == (database.source, database.fingerprint)
    assert result["rows"][0]["queries"] == 2
    with pytest.raises(PairscopeError, match="the only protocol is uni-modal, not standard, labels"):
        evaluate(encoder, pairs, protocols=["standard", "labels"], database=database)


# -- rows ------------------------------------------------------------------------------------------------


def test_every_row_has_provenance_and_interval(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    result = evaluate(encoder, pairs, protocols=["standard", "uni-modal"])
    for row in result["rows"]:
        assert row["model_sha256"] == encoder.fingerprint
        assert row["source_sha256"] == pairs.fingerprint
        assert row["code_version"] == code_version()
        assert (row["model"], row["source"]) == (result["model"], result["source"])
        assert row["low"] <= row["value"] <= row["high"]
    by_name = {(row["protocol"], row["direction"], row["metric"]): row for row in result["rows"]}
    similarity = (
        encoder.encode_images(pairs.image(row) for row in range(12))
        @ encoder.encode_texts(pairs.flat_captions()[0]).T
    )
    image_of_caption = pairs.flat_captions()[1]
    row = by_name["standard", "t2i", "r5"]
    hits = 100.0 * (ranks(similarity, image_of_caption)[0] <= 5)
    assert (row["low"], row["high"]) == pytest.approx(image_bootstrap(hits, image_of_caption, 12))
    assert row["queries"] == 18
    assert by_name["standard", "i2t", "r5"]["queries"] == 9  # three images have no caption
    assert result["rsum"] == by_name["standard", "", "rsum"]["value"]
    assert result["uni_modal_t2t_r1"] == by_name["uni-modal", "t2t", "r1"]["value"]
    assert by_name["uni-modal", "t2t", "r1"]["queries"] == 15  # three images have one caption
    json.dumps(result, allow_nan=False)


def test_two_models_are_compared_on_the_same_queries(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    other = load_encoder("picturebook-resnet/none", device="cpu")
    result = evaluate(encoder, pairs, against=other)
    image_of_caption = pairs.flat_captions()[1]
    hits = [
        100.0 * (ranks(images @ model.encode_texts(pairs.flat_captions()[0]).T, image_of_caption)[0] <= 5)
        for model in (encoder, other)
        if (images := model.encode_images(pairs.image(row) for row in range(12))) is not None
    ]
    drawn = resampled(hits[0] - hits[1], image_of_caption, 12)
    expected = (np.mean(hits[0] - hits[1]), *interval(drawn), two_sided_p(drawn))
    (row,) = (row for row in result["rows"] if (row["direction"], row["metric"]) == ("t2i", "r5"))
    found = row["difference"], row["difference_low"], row["difference_high"], row["p"]
    assert found == pytest.approx(expected)
    assert row["against_value"] == pytest.approx(evaluate(other, pairs)["t2i_r5"])
    assert row["against_sha256"] == other.fingerprint
    assert {**result, "rows": 0} == {**evaluate(encoder, pairs), "rows": 0}


def test_files_of_judgments_add_metrics(encoder: DualEncoder, folder: Path, tmp_path: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    judged = [f"{name}\t{name}#0\t{k % 4 + 1}\t1\t2" for k, name in enumerate(pairs.image_ids) if k % 4]
    (tmp_path / "expert.txt").write_text("\n".join(judged))
    (tmp_path / "sts.tsv").write_text("a dog\ta dog\t5\na dog\ta house by the sea\t1\nred\tblue\t2\n")
    result = evaluate(
        encoder, pairs, protocols=[], judgments=tmp_path / "expert.txt", sts=tmp_path / "sts.tsv"
    )
    counts = {row["protocol"] + row["metric"]: row["queries"] for row in result["rows"]}
    assert counts == {"judgmentsspearman": 9, "judgmentsaccuracy": 0, "stsspearman": 3}
    assert -1 <= result["judgments_spearman"] <= 1
    assert result["sts_spearman"] > 0  # a text is most like itself
    assert result["judgments_accuracy"] is None  # no image has two judged captions
    (tmp_path / "more.tsv").write_text("red\ta boat\t3\nblue\tred\t2\na red boat\ta boat\t4\n")
    sets = evaluate(encoder, pairs, protocols=[], sts=[tmp_path / "sts.tsv", tmp_path / "more.tsv"])
    assert sets["sts_sts_spearman"] == result["sts_spearman"]
    mean = (sets["sts_sts_spearman"] + sets["sts_more_spearman"]) / 2
    assert sets["sts_mean_spearman"] == pytest.approx(mean)
    compared = evaluate(encoder, pairs, protocols=[], sts=[tmp_path / "sts.tsv"], against=encoder)
    assert compared["rows"][0]["difference"] == 0


def test_impossible_evaluations_are_refused(encoder: DualEncoder, folder: Path) -> None:
    pairs = load_pairs(f"folder:{folder}")
    with pytest.raises(PairscopeError, match="Did you mean 'exact'"):
        evaluate(encoder, pairs, protocols=["exakt"])
    with pytest.raises(SourceError, match="has no relevance beyond its pairs"):
        evaluate(encoder, pairs, protocols=["exact"])
    with pytest.raises(ModelError, match="belong to one image tower"):
        evaluate(encoder, pairs, np.zeros((12, 192)), against=encoder)


def test_the_version_changes_with_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "system" / "provenance.py"))
    found = []
    for text in ("a = 1", "a = 2"):
        (tmp_path / "part.py").write_text(text)
        code_version.cache_clear()
        found.append(code_version())
    code_version.cache_clear()
    assert found[0] != found[1]
    assert found[0].split("+")[0] == found[1].split("+")[0] == version("pairscope")
