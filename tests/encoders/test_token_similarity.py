"""The local similarity equals attention computed word by word, in value and gradient, and limits memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from itr_core.encoders.token_similarity import local_similarity


def tokens(seed: int, images: int = 3, texts: int = 4, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Patches (images, 5, width), words (texts, 6, width), and a random mask with a word in every text."""
    random = torch.Generator().manual_seed(seed)
    patches = torch.randn(images, 5, width, dtype=torch.float64, generator=random)
    words = 3 * torch.randn(texts, 6, width, dtype=torch.float64, generator=random)
    mask = torch.rand(texts, 6, generator=random) < 0.6
    mask[torch.arange(texts), torch.randint(6, (texts,), generator=random)] = True
    return patches, words, mask


def attended(query: Tensor, keys: Tensor, sharpness: float, heads: int) -> Tensor:
    """Compute the context of one query (d,) among keys (K, d), head by head."""
    size = len(query) // heads
    context = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        weights = torch.stack([(sharpness * (query[part] @ key[part])).exp() for key in keys])
        context.append(sum(w / weights.sum() * key[part] for w, key in zip(weights, keys, strict=True)))
    return torch.cat(context)


def double_loop(
    patches: Tensor, words: Tensor, mask: Tensor, lam_i2t: float = 4, lam_t2i: float = 9, heads: int = 1
) -> Tensor:
    result = torch.zeros(len(patches), len(words), dtype=torch.float64)
    for i, image in enumerate(patches):
        for j, text in enumerate(words):
            r = [patch / patch.norm() for patch in image]
            w = [word / word.norm() for word, inside in zip(text, mask[j], strict=True) if inside]
            both = []
            for queries, keys, sharpness in ((r, w, lam_i2t), (w, r, lam_t2i)):
                contexts = [attended(q, torch.stack(keys), sharpness, heads) for q in queries]
                cosines = [q @ c / c.norm() for q, c in zip(queries, contexts, strict=True)]
                both.append(torch.stack(cosines).mean())
            result[i, j] = sum(both) / 2
    return result


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.sampled_from([1, 2, 8]), st.sampled_from([1, 3, 99]), st.floats(0.1, 30))
def test_similarity_equals_the_double_loop(seed: int, heads: int, chunk: int, sharpness: float) -> None:
    given = tokens(seed)
    torch.testing.assert_close(
        local_similarity(*given, lam_i2t=sharpness, lam_t2i=2 * sharpness, heads=heads, chunk=chunk),
        double_loop(*given, lam_i2t=sharpness, lam_t2i=2 * sharpness, heads=heads),
        rtol=0, atol=1e-10,
    )  # fmt: skip
    torch.testing.assert_close(local_similarity(*given), double_loop(*given), rtol=0, atol=1e-10)


@pytest.mark.parametrize("heads", [1, 2])
def test_gradient_equals_finite_differences(heads: int) -> None:
    patches, words, mask = tokens(1, images=2, texts=3, width=4)
    assert torch.autograd.gradcheck(
        lambda p, w: local_similarity(p, w, mask, heads=heads, chunk=2),
        (patches.requires_grad_(), words.requires_grad_()),
    )


def test_gradient_does_not_depend_on_the_chunk() -> None:
    gradients = []
    for chunk in (1, 3, 99):
        patches, words, mask = (x.requires_grad_() if x.is_floating_point() else x for x in tokens(2))
        loss = local_similarity(patches, words, mask, chunk=chunk).square().sum()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, (patches, words))]))
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=0, atol=1e-12)


def test_memory_for_the_gradient_grows_with_tokens_not_with_pairs() -> None:
    def bytes_saved(images: int, texts: int) -> int:
        patches = torch.randn(images, 20, 16, requires_grad=True)
        words = torch.randn(texts, 10, 16, requires_grad=True)
        sizes: dict[int, int] = {}

        def note(saved: Tensor) -> Tensor:
            sizes[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
            return saved

        with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
            total = local_similarity(patches, words, torch.ones(texts, 10, dtype=torch.bool), chunk=8).sum()
        assert total.requires_grad
        return sum(sizes.values())

    small, twice = bytes_saved(16, 16), bytes_saved(32, 32)
    assert twice < 2.5 * small  # attention weights of all pairs would take four times as much
    assert twice < 32 * 32 * 20 * 10 * 4  # attention weights of all pairs in float32


def test_tokens_outside_the_mask_have_no_effect() -> None:
    patches, words, mask = tokens(3)
    expected = local_similarity(patches, words, mask)
    changed = torch.where(mask[..., None], words, 100 * torch.ones_like(words))
    torch.testing.assert_close(local_similarity(patches, changed, mask), expected)
    longer = torch.cat([words, torch.zeros(4, 3, 8)], dim=1)
    padded = torch.cat([mask, torch.zeros(4, 3, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(local_similarity(patches, longer, padded), expected)


def test_order_and_norm_of_tokens_have_no_effect() -> None:
    patches, words, mask = tokens(4)
    order = torch.randperm(6)
    again = local_similarity(7 * patches.flip(1), words[:, order] / 9, mask[:, order])
    torch.testing.assert_close(again, local_similarity(patches, words, mask))


def test_equal_tokens_score_higher_than_orthogonal_ones() -> None:
    patches = torch.eye(8)[None, :4].repeat(2, 1, 1)
    patches[1] = torch.eye(8)[4:]
    matrix = local_similarity(patches, patches, torch.ones(2, 4, dtype=torch.bool))
    assert matrix.diagonal().min() > 0.9
    assert matrix[0, 1] == matrix[1, 0] == 0


@pytest.mark.parametrize("sharpness", [1e-6, 1e4])
def test_similarity_and_gradient_stay_finite_in_extreme_cases(sharpness: float) -> None:
    patches, words, mask = tokens(5)
    patches, words = patches.float().requires_grad_(), words.float()
    words[1] = 0
    words.requires_grad_()
    mask[1] = False
    scores = local_similarity(patches, words, mask, lam_i2t=sharpness, lam_t2i=sharpness)
    of_patches, of_words = torch.autograd.grad(scores.sum(), (patches, words))
    assert not scores[:, 1].any()
    assert scores.isfinite().all()
    assert scores.abs().max() <= 1 + 1e-6
    assert of_patches.isfinite().all()
    assert of_words.isfinite().all()
    assert not of_words[1].any()


def test_heads_must_divide_the_dimensions() -> None:
    with pytest.raises(ValueError, match="heads=3 must divide the 8 dimensions"):
        local_similarity(*tokens(0), heads=3)
