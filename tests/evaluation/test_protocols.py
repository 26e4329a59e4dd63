"""Protocols on embeddings made up: every figure against a loop over the truth as the source tells it."""

from collections.abc import Iterator

import numpy as np
import pytest
from datasets import Dataset

from itr_core.errors import SourceError
from itr_core.evaluation import uni_modal as uni_modal_protocol
from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.protocols import PROTOCOLS, exact, labels, standard
from itr_core.evaluation.relevance_matrix import PackedRelevance
from itr_core.evaluation.uni_modal import uni_modal
from itr_core.metrics import retrieval_metrics
from itr_core.metrics.bootstrap import image_bootstrap
from itr_core.metrics.samples import MetricSamples, QuerySet
from itr_core.pairs import PairSet, load_pairs


def unit(rows: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((rows, 6))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def world() -> Embedded:
    pairs = load_pairs("picturebook:test@70")
    return Embedded(pairs, unit(70, 0), unit(350, 1))


@pytest.fixture(scope="module")
def truth(world: Embedded) -> np.ndarray:
    assert world.pairs.relevance is not None
    return world.pairs.relevance.matrix()


def values(figures: list[MetricSamples]) -> dict[str, float]:
    assert len({figure.name for figure in figures}) == len(figures)
    return {figure.name: figure.value for figure in figures}


def ordered(scores: np.ndarray, without: int | None = None) -> list[int]:
    return sorted((i for i in range(len(scores)) if i != without), key=lambda i: -scores[i])


def of_order(order: list[int], right: set[int]) -> dict[str, float]:
    """Recalls, mAP@R and R-Precision of one query, by their definitions."""
    hits = [item in right for item in order[: len(right)]]
    ap = sum(sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit) / len(right)
    recalls = {f"r{k}": float(any(item in right for item in order[:k])) for k in (1, 5, 10)}
    return recalls | {"map_at_r": ap, "r_precision": sum(hits) / len(right)}


def mean(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: 100 * float(np.mean([one[name] for one in found])) for name in found[0]}


def test_packed_relevance_is_readable_in_both_directions(world: Embedded, truth: np.ndarray) -> None:
    assert world.pairs.relevance is not None
    packed = PackedRelevance(world.pairs.relevance, *truth.shape)
    np.testing.assert_array_equal(packed.by_image[slice(3, 99)], truth[3:])
    np.testing.assert_array_equal(packed.by_caption[slice(5, 13)], truth.T[5:13])
    columns = np.array([349, 0, 7, 8, 7])
    np.testing.assert_array_equal(packed.columns(columns), truth[:, columns])


def test_standard_is_retrieval_metrics(world: Embedded) -> None:
    expected = retrieval_metrics(world.images @ world.texts.T, world.image_of_caption)
    assert values(standard(world)) == pytest.approx(expected)
    assert list(values(standard(world))) == list(expected)


def test_intervals_are_those_of_the_bootstrap_and_rsum_is_drawn_whole(world: Embedded) -> None:
    figures = {figure.name: figure for figure in standard(world)}
    hits = figures["t2i_r10"].parts[0].values
    low, high = np.percentile(figures["t2i_r10"].bootstrap(), [2.5, 97.5])
    assert (low, high) == pytest.approx(image_bootstrap(hits, world.image_of_caption, 70))
    recalls = [figure.bootstrap() for name, figure in figures.items() if "_r" in name]
    np.testing.assert_allclose(figures["rsum"].bootstrap(), sum(recalls))


def test_exact_equals_explicit_sums_over_all_true_items(world: Embedded, truth: np.ndarray) -> None:
    found, score = values(exact(world)), world.images @ world.texts.T
    for direction, scores, true, given in (
        ("t2i", score.T, truth.T, [{image_of_caption} for image_of_caption in world.image_of_caption]),
        ("i2t", score, truth, [set(np.flatnonzero(world.image_of_caption == image)) for image in range(70)]),
    ):
        queries = range(len(scores))
        order = [ordered(scores[query]) for query in queries]
        expected = mean([of_order(order[q], set(np.flatnonzero(true[q]))) for q in queries])
        hidden = [order[q][0] not in given[q] and true[q, order[q][0]] for q in queries]
        missed = [order[q][0] not in given[q] for q in queries]
        expected |= {
            "false_negatives": 100 * sum(hidden) / sum(missed),
            "unannotated_first_answers": 100 * np.mean(hidden),
        }
        for name, value in expected.items():
            assert found[f"exact_{direction}_{name}"] == pytest.approx(value), (direction, name)
    assert found["exact_t2i_unannotated_first_answers"] > 0


def test_exact_gains_are_the_grades_of_the_source(world: Embedded) -> None:
    assert world.pairs.relevance is not None
    grade, score = world.pairs.relevance.grade(), world.images @ world.texts.T
    found = values(exact(world))
    for direction, scores, gain in (("t2i", score.T, grade.T), ("i2t", score, grade)):
        discount = 1 / np.log2(np.arange(2, 12))
        each = [
            (gain[q][ordered(scores[q])[:10]] @ discount) / (np.sort(gain[q])[::-1][:10] @ discount)
            for q in range(len(scores))
        ]
        assert found[f"exact_{direction}_ndcg10"] == pytest.approx(100 * np.mean(each), rel=1e-5)


def test_exact_needs_relevance_beyond_the_pairs() -> None:
    pairs = PairSet(
        Dataset.from_dict({"image": [None], "captions": [["a"]], "image_id": ["0"]}), source="made:up"
    )
    with pytest.raises(SourceError, match=r"made:up has no relevance beyond its pairs"):
        exact(Embedded(pairs, unit(1, 0), unit(1, 1)))


def test_uni_modal_retrieval_excludes_the_query(world: Embedded, truth: np.ndarray) -> None:
    found = values(uni_modal(world))
    siblings = [
        of_order(
            ordered(world.texts @ text, c),
            set(np.flatnonzero(world.image_of_caption == world.image_of_caption[c]).tolist()) - {c},
        )
        for c, text in enumerate(world.texts)
    ]
    for name, value in mean(siblings).items():
        assert found[f"uni_modal_t2t_{name}"] == pytest.approx(value), name
    images = []
    for i, image in enumerate(world.images):
        right = set(np.flatnonzero(truth[:, world.image_of_caption == i].any(axis=1)).tolist()) - {i}
        if right:
            images.append(of_order(ordered(world.images @ image, i), right))
    for name, value in mean(images).items():
        assert found[f"uni_modal_i2i_{name}"] == pytest.approx(value), name


def test_spearman_is_high_for_embeddings_of_the_meaning(world: Embedded, truth: np.ndarray) -> None:
    """If captions are embedded as the set of images they are true of, cosine and overlap agree."""
    meanings = truth.T / np.linalg.norm(truth.T, axis=1, keepdims=True)
    informed = Embedded(world.pairs, np.eye(70, dtype=np.float32), meanings.astype(np.float32))
    assert values(uni_modal(informed))["uni_modal_t2t_spearman"] > 0.99
    assert abs(values(uni_modal(world))["uni_modal_t2t_spearman"]) < 0.1


def test_captions_of_the_same_and_of_other_images_are_compared(
    world: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[np.ndarray, np.ndarray]] = []

    def spy(truth: object, a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
        compared.append((a, b))
        return iter([np.arange(len(a))])

    monkeypatch.setattr(uni_modal_protocol, "_overlaps", spy)
    uni_modal(world)
    a, b = compared[0]
    same = world.image_of_caption[a] == world.image_of_caption[b]
    assert (a != b).all()
    assert sorted(a[same]) == list(range(350))  # each caption once with a sibling
    assert 330 < (~same).sum() <= 350
    assert len({(b - a).item() for a, b in zip(a[same], b[same], strict=True)}) == 8  # any of the others


@pytest.fixture(scope="module")
def labelled() -> Embedded:
    columns = {
        "image": [None] * 4,
        "captions": [["a b"], ["a c", "b c"], ["c"], []],
        "image_id": list("0123"),
        "labels": [["x"], ["x", "y"], ["y"], ["z"]],
    }
    return Embedded(PairSet(Dataset.from_dict(columns), source="made:up"), unit(4, 2), unit(4, 3))


def test_images_with_a_common_label_are_relevant_without_relevance(labelled: Embedded) -> None:
    right: list[set[int]] = [{1}, {0, 2}, {1}]  # no image shares z
    expected = mean([of_order(ordered(labelled.images @ labelled.images[i], i), right[i]) for i in range(3)])
    found = values(uni_modal(labelled))
    assert {name: found[f"uni_modal_i2i_{name}"] for name in expected} == pytest.approx(expected)
    assert found["uni_modal_t2t_map_at_r"] == 100 * np.mean(
        [ordered(labelled.texts @ labelled.texts[c], c)[0] == 3 - c for c in (1, 2)]  # the only siblings
    )
    assert "uni_modal_t2t_spearman" not in found


def of_labels(labels: list[list[str]], captions: bool = False) -> PairSet:
    n = len(labels)
    columns = {
        "image": [None] * n,
        "captions": [["a"] if captions else []] * n,
        "image_id": [str(i) for i in range(n)],
        "labels": labels,
    }
    return PairSet(Dataset.from_dict(columns), source="made:up")


def test_images_without_captions_are_searched_by_labels() -> None:
    classes = [["x"], ["y"], ["x"], ["y"], ["x"], ["z"]]
    source = Embedded(of_labels(classes), unit(6, 4), np.zeros((0, 6), np.float32))
    found = values(uni_modal(source))
    right = [{j for j in range(6) if classes[j] == classes[i] and j != i} for i in range(5)]
    expected = mean([of_order(ordered(source.images @ source.images[i], i), right[i]) for i in range(5)])
    assert found == pytest.approx({f"uni_modal_i2i_{name}": value for name, value in expected.items()})
    with pytest.raises(SourceError, match="neither captions nor labels"):
        uni_modal(Embedded(of_labels([[]] * 6), source.images, source.texts))


def test_a_database_is_searched_instead_of_the_queries_themselves() -> None:
    none = np.zeros((0, 6), np.float32)
    mine, theirs = [["x"], ["y", "z"], ["nowhere"]], [["y"], ["x"], ["x", "z"], ["new"]]
    database = Embedded(of_labels(theirs), unit(4, 5), none)
    source = Embedded(of_labels(mine), unit(3, 6), none, database=database)
    orders = [ordered(database.images @ image) for image in source.images]
    expected = mean([of_order(orders[0], {1, 2}), of_order(orders[1], {0, 2})])  # no image shares `nowhere`
    assert values(uni_modal(source)) == pytest.approx(
        {f"uni_modal_i2i_{name}": value for name, value in expected.items()}
    )
    with pytest.raises(SourceError, match="made:up has no labels"):
        uni_modal(Embedded(of_labels([[]]), unit(1, 6), none, database=database))


def test_models_with_spaces_for_each_modality_are_measured_there(labelled: Embedded) -> None:
    own = unit(4, 8), unit(4, 9)
    apart = Embedded(labelled.pairs, labelled.images, labelled.texts, uni_modal=own)
    assert values(uni_modal(apart)) == values(uni_modal(Embedded(labelled.pairs, *own)))
    assert values(standard(apart)) == values(standard(labelled))


def test_label_map_of_captions_and_images(labelled: Embedded) -> None:
    sets = [{"x"}, {"x", "y"}, {"y"}, {"z"}]
    of_caption = [sets[image] for image in labelled.image_of_caption]

    def average(
        queries: np.ndarray, items: np.ndarray, mine: list[set[str]], theirs: list[set[str]], window: int
    ) -> float:
        found = []
        for query, own in zip(queries, mine, strict=True):
            hits = [bool(own & theirs[i]) for i in ordered(items @ query)]
            if any(hits):
                precision = [sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits[:window]) if hit]
                found.append(float(np.mean(precision)) if precision else 0.0)
        return 100 * float(np.mean(found))

    found = values(labels(labelled))
    t2i = labelled.texts, labelled.images, of_caption, sets
    assert found["labels_t2i_map_at_all"] == pytest.approx(average(*t2i, 4))
    i2t = labelled.images, labelled.texts, sets, of_caption
    assert found["labels_i2t_map_at_all"] == pytest.approx(average(*i2t, 4))
    assert found["labels_i2t_map_at_n_query"] == pytest.approx(average(*i2t, 4))


def test_concepts_replace_missing_labels(world: Embedded) -> None:
    pairs = PairSet(world.pairs.dataset.remove_columns("labels"), source="made:up")
    found = values(labels(Embedded(pairs, world.images, world.texts)))
    assert 0 < found["labels_t2i_map_at_all"] < 100


def test_metrics_have_the_name_of_their_protocol(world: Embedded) -> None:
    for name in ("standard", "exact", "uni-modal", "labels"):
        assert {figure.protocol for figure in PROTOCOLS[name](world)} == {name}


def test_metrics_without_queries_are_none() -> None:
    figure = QuerySet("exact", "t2i", np.arange(3), 3).mean("r1", np.full(3, np.nan))
    assert np.isnan(figure.value)
    assert np.isnan(figure.bootstrap()).all()
