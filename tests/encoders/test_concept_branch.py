"""The concept branch: its formulas computed term by term."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.encoders.concept_branch import (
    PROMPT,
    ConceptBranch,
    Descriptors,
    attention_divergence,
)
from itr_core.supervision.concept_graph import normalised
from tests.support import present

K, D, B = 6, 5, 4


@pytest.fixture
def branch() -> ConceptBranch:
    torch.manual_seed(0)
    edges = np.random.default_rng(0).random((K, K)) < 0.4
    branch = ConceptBranch(D, normalised(edges)).double()
    names = [f"word{k}" for k in range(K)]
    branch.set_nodes(names, lambda texts: np.random.default_rng(len(texts)).standard_normal((K, D)))
    return branch


def batch(seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = (
        F.normalize(torch.randn(B, D, generator=generator, dtype=torch.float64), dim=-1) for _ in range(2)
    )
    return image, text, (torch.rand(B, K, generator=generator) < 0.4).double()


def test_concepts_start_as_centred_embeddings_of_their_prompts() -> None:
    branch = ConceptBranch(2, np.eye(2, dtype=np.float32))
    asked: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.array([[0.8, 0.6], [0.6, 0.8]], np.float32)

    branch.set_nodes(["dog", "sea"], encode)
    assert asked == [PROMPT.format("dog"), PROMPT.format("sea")]
    torch.testing.assert_close(branch.nodes, torch.tensor([[0.5, -0.5], [-0.5, 0.5]]) * 2**0.5)


def test_related_is_two_graph_convolutions(branch: ConceptBranch) -> None:
    a, x = branch.adjacency.numpy(), branch.nodes.numpy()
    weights = dict(branch.convolutions.named_parameters())
    first, second = (weights[name].detach().numpy() for name in ("0.weight", "1.weight"))
    hidden = a @ x @ first.T
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    expected = a @ hidden @ second.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(branch.related().detach().numpy(), expected, atol=1e-12)


def test_query_equals_its_formula_written_out(branch: ConceptBranch) -> None:
    image, text, named = batch()
    with torch.no_grad():
        related = branch.related()
        found = branch(related, image, text, named)
        for name, rows, attention, descriptors in (
            ("image", image, found.image_attention, found.image),
            ("text", text, found.text_attention, found.text),
        ):
            score = branch.scores[name].numpy()
            concepts = projected(branch.concept, related.numpy())
            for i, asked in enumerate(projected(branch.queries[name], rows.numpy())):
                e = [cosine(score * asked, concept) for concept in concepts]
                a = softmax([10 * value for value in e])
                if name == "text":
                    own = softmax([10 * y for y in named[i].tolist()])
                    a = [0.35 * y + 0.65 * value for y, value in zip(own, a, strict=True)]
                u = torch.stack([w * concept for w, concept in zip(a, related, strict=True)]).sum(0)
                assert attention[i].tolist() == pytest.approx(a)
                torch.testing.assert_close(descriptors[i], u / u.norm())


def projected(module: torch.nn.Module, rows: np.ndarray) -> np.ndarray:
    """Apply batch norm and tanh to rows."""
    names = ("0.weight", "1.weight", "1.bias")
    weight, gain, shift = (module.get_parameter(name).detach().numpy() for name in names)
    y = rows @ weight.T
    return np.tanh((y - y.mean(0)) / np.sqrt(y.var(0) + torch.nn.BatchNorm1d(1).eps) * gain + shift)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def test_the_common_mean_of_embeddings_has_no_effect(branch: ConceptBranch) -> None:
    """Embeddings of an untrained encoder lie in a narrow cone; attention must still differ between them."""
    image, text, named = batch()
    apart = branch(branch.related(), image, text, named)
    moved = branch(branch.related(), image + 5.0, text - 3.0, named)
    for one, other in zip(moved, apart, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_at_inference_rows_do_not_depend_on_other_rows(branch: ConceptBranch) -> None:
    image, text, named = batch()
    related = branch.related()
    for _ in range(50):
        branch(related, image, text, named)
    branch.eval()
    whole = branch(related, image, text, named)
    alone = branch(related, image[2:3], text[2:3], named[2:3])
    branch.train()
    training = branch(related, image[2:3], text[2:3], named[2:3])
    for one, two, all_of_them in zip(alone, training, whole, strict=True):
        torch.testing.assert_close(one[0], all_of_them[2])
        torch.testing.assert_close(two.isfinite(), torch.ones_like(two, dtype=torch.bool))


def test_attention_cannot_saturate(branch: ConceptBranch) -> None:
    """No concept takes all the attention, even with large weights."""
    image, text, named = batch()
    with torch.no_grad():
        for weights in branch.scores.parameters():
            weights.mul_(1e6)
    found = branch(branch.related(), image, text, named)
    assert found.image_attention.max() <= 1 / (1 + (K - 1) * math.exp(-20))
    assert found.image_attention.min() > math.exp(-20) / K


def test_a_caption_attends_more_to_concepts_it_names(branch: ConceptBranch) -> None:
    image, text, _ = batch()
    named = torch.zeros(B, K, dtype=torch.float64)
    named[:, 3] = 1
    nothing = branch(branch.related(), image, text, torch.zeros_like(named))
    found = branch(branch.related(), image, text, named)
    assert (found.text_attention[:, 3] > nothing.text_attention[:, 3] + 0.25).all()
    assert torch.equal(found.image_attention, nothing.image_attention)
    for attention in (found.text_attention, found.image_attention):
        torch.testing.assert_close(attention.sum(1), torch.ones(B, dtype=torch.float64))


def test_gradient(branch: ConceptBranch) -> None:
    image, text, named = batch()
    related = branch.related().detach().requires_grad_()
    inputs = related, image.requires_grad_(), text.requires_grad_()
    assert torch.autograd.gradcheck(lambda r, v, t: branch(r, v, t, named)[:2], inputs)
    found = branch(branch.related(), image, text, named)
    (found.image[:, 0] + found.text[:, 0]).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in branch.parameters())


def test_divergence_written_out_and_its_gradient_goes_to_the_image() -> None:
    seen = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64, requires_grad=True)
    told = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64, requires_grad=True)
    loss = attention_divergence(Descriptors(seen, told, seen, told))
    expected = (0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)) / 2
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert present(seen.grad).isfinite().all()
    assert present(seen.grad).any()
    assert told.grad is None
