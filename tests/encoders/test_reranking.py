"""Re-ranked ranks equal sorting the candidates of every query explicitly."""

import numpy as np
import pytest
import torch

from itr_core.encoders import reranking
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.encoders.heads import LocalRole
from itr_core.encoders.reranking import hierarchical_similarity, reranked_ranks
from itr_core.encoders.token_similarity import local_similarity
from itr_core.errors import ModelError
from itr_core.evaluation import evaluate
from itr_core.metrics import retrieval_metrics
from itr_core.metrics.recall import summary
from itr_core.pairs import load_pairs

LOCAL = LocalRole(u1=0.3)
IMAGE_OF_CAPTION = np.array([0, 0, 1, 2, 2, 2, 4, 5, 6, 7])  # image 3 has no caption


def random_embeddings(
    seed: int,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """8 images with 4 patches each, and 10 captions with up to 5 words, in 6 dimensions."""
    random = np.random.default_rng(seed)

    def units(*shape: int) -> np.ndarray:
        x = random.standard_normal(shape).astype(np.float32)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    mask = random.random((10, 5)) < 0.7
    mask[:, 0] = True
    return (units(8, 6), units(8, 4, 6)), (units(10, 6), units(10, 5, 6), mask)


def by_sorting(images: tuple[np.ndarray, ...], texts: tuple[np.ndarray, ...], k: int) -> dict[str, float]:
    """Sort by cosine, sort the first k again by the fused score, and find the relevant item."""
    cosine = images[0] @ texts[0].T
    local = local_similarity(*map(torch.from_numpy, (images[1], texts[1], texts[2]))).numpy()
    both = 0.3 * local + 0.7 * cosine
    ranks: dict[str, list[int]] = {"t2i": [], "i2t": []}
    for direction, first, second, right in (
        ("t2i", cosine.T, both.T, [{image} for image in IMAGE_OF_CAPTION]),
        ("i2t", cosine, both, [set(np.flatnonzero(image == IMAGE_OF_CAPTION)) for image in range(8)]),
    ):
        for query, answers in enumerate(right):
            order = sorted(range(first.shape[1]), key=lambda item: -first[query, item])
            order[:k] = sorted(order[:k], key=lambda item: -second[query, item])
            if answers:
                ranks[direction].append(1 + min(order.index(answer) for answer in answers))
    return {f"{direction}_medr": float(np.median(found)) for direction, found in ranks.items()} | {
        f"{direction}_r{c}": 100 * float(np.mean([rank <= c for rank in found]))
        for direction, found in ranks.items()
        for c in (1, 5, 10)
    }


@pytest.mark.parametrize("candidates", [1, 3, 100])
@pytest.mark.parametrize("seed", range(5))
def test_reranked_ranks_equal_explicit_sorting(seed: int, candidates: int) -> None:
    images, texts = random_embeddings(seed)
    found = summary(*reranked_ranks(images, texts, IMAGE_OF_CAPTION, LOCAL, candidates=candidates))
    rsum = found.pop("rsum")
    assert found == pytest.approx(by_sorting(images, texts, candidates))
    assert rsum == pytest.approx(sum(value for name, value in found.items() if "_r" in name))


@pytest.mark.parametrize("blocks", [(32, 512), (3, 4)])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_hierarchical_similarity_of_all_pairs(
    monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int], heads: int
) -> None:
    images, texts = random_embeddings(7)
    monkeypatch.setattr(reranking, "IMAGE_BLOCK", blocks[0])
    monkeypatch.setattr(reranking, "CAPTION_BLOCK", blocks[1])
    found = hierarchical_similarity(images, texts, LocalRole(u1=0.3, attention_heads=heads))
    local = local_similarity(*map(torch.from_numpy, (images[1], texts[1], texts[2])), heads=heads).numpy()
    np.testing.assert_allclose(found, 0.3 * local + 0.7 * images[0] @ texts[0].T, atol=1e-6)
    assert isinstance(found, np.memmap)  # in a file, not in memory


def test_reranking_every_item_gives_the_ranks_by_the_hierarchical_similarity() -> None:
    images, texts = random_embeddings(3)
    local = LocalRole(u1=0.6, attention_heads=3)
    by_all = retrieval_metrics(hierarchical_similarity(images, texts, local), IMAGE_OF_CAPTION)
    assert summary(*reranked_ranks(images, texts, IMAGE_OF_CAPTION, local)) == pytest.approx(by_all)


def test_without_local_similarity_the_ranks_are_those_by_cosine() -> None:
    images, texts = random_embeddings(0)
    plain = retrieval_metrics(images[0] @ texts[0].T, IMAGE_OF_CAPTION)
    assert summary(*reranked_ranks(images, texts, IMAGE_OF_CAPTION, LocalRole(u1=0), candidates=4)) == plain


def test_evaluate_reports_ranks_with_and_without_reranking() -> None:
    encoder, pairs = load_encoder("picturebook-vit/none"), load_pairs("picturebook:test@6")
    figures, plain = evaluate(encoder, pairs, rerank=0.8), evaluate(encoder, pairs)
    again = {name: value for name, value in figures.items() if name.startswith("reranked_")}
    assert again.keys() == {f"reranked_{name}" for name in plain if name[:3] in ("t2i", "i2t", "rsu")}
    assert figures.pop("rows")[: len(rows := plain.pop("rows"))] == rows
    assert {name: figures[name] for name in plain} == plain
    with pytest.raises(ModelError, match="no patch tokens"):
        evaluate(encoder, pairs, np.zeros((6, 192), np.float32), rerank=0.8)


def test_the_protocol_hierarchical_ranks_all_pairs() -> None:
    encoder, pairs = load_encoder("picturebook-vit/none", device="cpu"), load_pairs("picturebook:test@6")
    found = evaluate(encoder, pairs, protocols=["hierarchical"], u1=0.4)
    images = encoder.encode_images((pairs.image(row) for row in range(6)), tokens=True)
    captions, image_of_caption = pairs.flat_captions()
    texts = encoder.encode_texts(captions, tokens=True)
    similarity = hierarchical_similarity(images, texts, LocalRole(u1=0.4))
    for name, value in retrieval_metrics(similarity, image_of_caption).items():
        assert found[f"hierarchical_{name}"] == pytest.approx(value), name
    with pytest.raises(ModelError, match=r"u1=1\.5: the weight"):
        evaluate(encoder, pairs, protocols=["hierarchical"], u1=1.5)
    for number in (0.0, 1.0):  # values of u1, not False and True
        both = evaluate(encoder, pairs, protocols=["hierarchical"], rerank=number)
        similarity = hierarchical_similarity(images, texts, LocalRole(u1=number))
        expected = retrieval_metrics(similarity, image_of_caption)["rsum"]
        assert both["reranked_rsum"] == pytest.approx(expected)
        assert both["hierarchical_rsum"] == pytest.approx(expected)
    assert "reranked_rsum" not in evaluate(encoder, pairs, rerank=False)
