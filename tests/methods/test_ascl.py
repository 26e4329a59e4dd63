"""AsCL: double loops as reference, special cases, properties, and training on a tiny world."""

import json
import math
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from itr_core.batch import EncoderOutput, PairBatch, TextOutput
from itr_core.encoders.token_similarity import local_similarity
from itr_core.errors import ModelError
from itr_core.methods import AsCL, Setup, make_method
from itr_core.methods.ascl import asymmetric_contrast
from itr_core.methods.components.caption_augmentation import FEATURE_NOISE, noise_tokens
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.training import train
from itr_core.training.train_step import TrainStep
from tests.support import present

pytestmark = pytest.mark.usefixtures("configs")

IDS = st.lists(st.integers(0, 3), min_size=1, max_size=7)


def matrices(seed: int, n: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    similarity, noised = 2 * torch.rand(2, n, n, dtype=torch.float64, generator=random) - 1
    return similarity, noised


def double_loop(
    similarity: Tensor, noised: Tensor | None, scale: float, ids: list[int], filter_mode: str
) -> float:
    """Compute the sums of the docstring term by term."""
    total = 0.0
    for i in range(len(ids)):
        candidates = [j for j in range(len(ids)) if j == i or ids[j] != ids[i]]
        own = similarity[i, i].item()
        rivals = [similarity[i, j].item() for j in candidates]
        for j in candidates if noised is not None else ():
            score = present(noised)[i, j].item()
            if score <= own:
                rivals.append(score)
            elif filter_mode == "zero":
                rivals.append(0.0)
        total -= scale * own - math.log(sum(math.exp(scale * score) for score in rivals))
        total -= scale * own - math.log(sum(math.exp(scale * similarity[j, i].item()) for j in candidates))
    return total / len(ids)


# -- the contrast --------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 9999), IDS, st.floats(0.1, 100), st.sampled_from(["zero", "drop"]), st.booleans())
def test_equals_the_double_loop(seed: int, ids: list[int], scale: float, mode: str, noise: bool) -> None:
    similarity, noised = matrices(seed, len(ids))
    given = similarity, noised if noise else None, scale
    loss = asymmetric_contrast(*given, torch.tensor(ids), mode).item()
    assert loss == pytest.approx(double_loop(*given, ids, mode), abs=1e-9)


def test_published_test_vector() -> None:
    both = torch.tensor([[0.8, 0.2, 0.7, 0.3], [0.1, 0.6, 0.65, 0.5]], dtype=torch.float64)
    loss = partial(asymmetric_contrast, both[:, :2], both[:, 2:], 10, torch.arange(2))
    assert loss().item() == pytest.approx(0.32950773, abs=1e-8)
    assert loss(filter_mode="drop").item() < loss().item()
    one_way = asymmetric_contrast(both[:, :2], None, 10, torch.arange(2)).item()
    i2t_without = (math.log1p(math.exp(-6)) + math.log1p(math.exp(-5))) / 2
    assert one_way - i2t_without == pytest.approx(0.00953070, abs=1e-8)  # T2I, which no noise enters
    assert loss().item() - 0.00953070 == pytest.approx(0.31997704, abs=1e-8)


@pytest.mark.parametrize("mode", ["zero", "drop"])
@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [0, 0, 1, 2], [5, 5, 5, 5]])
def test_gradient(ids: list[int], mode: str) -> None:
    inputs = [x.requires_grad_() for x in matrices(1, 4)]
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda s, n, t: asymmetric_contrast(s, n, t, torch.tensor(ids), mode), (*inputs, scale)
    )


@given(st.permutations(range(6)))
@settings(deadline=None)
def test_order_of_the_batch_and_values_of_ids_do_not_matter(order: list[int]) -> None:
    (similarity, noised), ids = matrices(2, 6), torch.tensor([0, 0, 1, 2, 2, 3])
    again = asymmetric_contrast(
        similarity[order][:, order], noised[order][:, order], 7.0, 99 - ids[torch.tensor(order)]
    )
    assert again.item() == pytest.approx(asymmetric_contrast(similarity, noised, 7.0, ids).item())


def test_captions_of_one_image_are_not_negatives() -> None:
    similarity, noised = (x.requires_grad_() for x in matrices(3, 4))
    asymmetric_contrast(similarity, noised, 5.0, torch.tensor([8, 8, 1, 2])).backward()
    for each in (similarity, noised):
        assert not present(each.grad)[0, 1]
        assert not present(each.grad)[1, 0]
        assert present(each.grad)[0, 2] or (each is noised and noised[0, 2] > similarity[0, 0])


def test_a_batch_of_one_still_learns_from_its_own_noised_caption() -> None:
    own, noised = torch.tensor([[0.5]]), torch.tensor([[0.3]])
    assert asymmetric_contrast(own, None, 10.0, torch.tensor([4])).item() == 0
    assert asymmetric_contrast(own, noised, 10.0, torch.tensor([4])).item() == pytest.approx(
        math.log1p(math.exp(-2)), abs=1e-6
    )
    assert asymmetric_contrast(own, noised + 1, 10.0, torch.tensor([4]), "drop").item() == 0


@pytest.mark.parametrize("mode", ["zero", "drop"])
@pytest.mark.parametrize("scale", [1e-6, 100.0])
def test_finite_at_the_ends_of_the_temperature(scale: float, mode: str) -> None:
    temperature = torch.tensor(scale, requires_grad=True)
    similarity = -torch.eye(8) + 0.5
    similarity.requires_grad_()
    loss = asymmetric_contrast(
        similarity, torch.ones(8, 8), temperature, torch.tensor([0, 0, 1, 2, 3, 4, 5, 6]), mode
    )
    loss.backward()
    assert loss.isfinite()
    assert present(similarity.grad).isfinite().all()
    assert present(temperature.grad).isfinite()


# -- the method ----------------------------------------------------------------------------------------------


def answer(n: int = 5, seed: int = 0, d: int = 8) -> EncoderOutput:
    """Random encoder outputs for n pairs, their positives and their negatives."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    def text(length: int) -> TextOutput:
        mask = torch.rand(n, length, generator=random) < 0.7
        mask[:, 0] = True
        return TextOutput(draw(n, d), draw(n, length, d), mask)

    own = text(6)
    return EncoderOutput(
        draw(n, d), own.text, torch.tensor(4.0, dtype=torch.float64), draw(n, 3, d), own.tokens, own.mask,
        positive=text(9), negative=text(7),
    )  # fmt: skip


def batch(ids: list[int]) -> PairBatch:
    return PairBatch(torch.zeros(len(ids), 1, dtype=torch.int64), torch.tensor(ids), [""] * len(ids))


def fused(out: EncoderOutput, text: TextOutput, u1: float) -> Tensor:
    overall = normalize(out.image, dim=-1) @ normalize(text.text, dim=-1).T
    if not u1:
        return overall
    local = local_similarity(present(out.image_tokens), present(text.tokens), present(text.mask))
    return u1 * local + (1 - u1) * overall


IDS_5 = [0, 0, 1, 2, 3]


@pytest.mark.parametrize("u1", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("tau", [0.0, 0.1])
@pytest.mark.parametrize("mode", ["zero", "drop"])
def test_both_losses_contrast_the_generated_captions(u1: float, tau: float, mode: str) -> None:
    out = answer()
    terms = AsCL(u1=u1, tau=tau, filter_mode=mode)(out, batch(IDS_5))
    scale = 1 / tau if tau else 4.0
    negative = fused(out, present(out.negative), u1)
    for name, text in (("ascl_i", TextOutput(out.text, out.text_tokens, out.text_mask)),
                       ("ascl_ii_iii", present(out.positive))):  # fmt: skip
        similarity = fused(out, text, u1)
        assert terms[name].item() == pytest.approx(double_loop(similarity, negative, scale, IDS_5, mode))


def test_without_generated_captions_it_is_twice_infonce() -> None:
    out = answer()
    method = AsCL(positives="none", negatives="none")
    terms = method(out, batch(IDS_5))
    info_nce = symmetric_info_nce(out.image, out.text, 4.0, torch.tensor(IDS_5)).item()
    assert terms.keys() == method.weights.keys() == {"ascl_i"}
    assert terms["ascl_i"].item() == pytest.approx(2 * info_nce, abs=1e-12)
    assert method.weights["ascl_i"] * terms["ascl_i"].item() == pytest.approx(info_nce, abs=1e-12)


@pytest.mark.parametrize("operation", FEATURE_NOISE)
def test_noise_on_word_tokens(operation: str) -> None:
    out = answer()
    method = AsCL(u1=0.4, negatives="feature", operations=operation)
    torch.manual_seed(5)
    terms = method(out, batch(IDS_5))
    torch.manual_seed(5)
    for name, text in (("ascl_i", TextOutput(out.text, out.text_tokens, out.text_mask)),
                       ("ascl_ii_iii", present(out.positive))):  # fmt: skip
        torch.randint(1, ())  # which operation
        noised = noise_tokens(present(text.tokens), operation)
        pooled = text.text.clone()
        for row in range(5):
            words = present(text.mask)[row]
            pooled[row] += noised[row, words].mean(0) - present(text.tokens)[row, words].mean(0)
        negative = fused(out, TextOutput(pooled, noised, present(text.mask)), 0.4)
        expected = double_loop(fused(out, text, 0.4), negative, 4.0, IDS_5, "zero")
        assert terms[name].item() == pytest.approx(expected)


def test_noise_operations_vary_between_calls() -> None:
    out, method = answer(), AsCL(negatives="feature")
    torch.manual_seed(0)
    assert len({method(out, batch(IDS_5))["ascl_i"].item() for _ in range(12)}) > 8


@pytest.mark.parametrize("options", [{}, {"u1": 0.5}, {"u1": 0.5, "negatives": "feature"}])
def test_gradients_reach_the_encoder_outputs_without_changing_them(options: dict[str, Any]) -> None:
    out = answer()
    leaves = [out.image, out.text, present(out.positive).text]
    if options.get("negatives") != "feature":
        leaves.append(present(out.negative).text)
    if options:
        leaves += [present(out.image_tokens), present(out.text_tokens), present(present(out.positive).tokens)]
    before = [leaf.clone() for leaf in leaves]
    for leaf in leaves:
        leaf.requires_grad_()
    terms = make_method("ascl", options)(out, batch([0, 1, 2, 3, 4]))
    (terms["ascl_i"] + terms["ascl_ii_iii"]).backward()
    for leaf, was in zip(leaves, before, strict=True):
        assert present(leaf.grad).any()
        assert torch.equal(leaf, was)


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({}, {"positive_text", "negative_text"}),
        ({"u1": 0.8}, {"positive_text", "negative_text", "tokens"}),
        ({"negatives": "feature"}, {"positive_text", "tokens"}),
        ({"negatives": "none"}, {"positive_text"}),
        ({"negatives": "none", "positives": "none"}, set()),
    ],
)
def test_needs_match_the_options(options: dict[str, Any], needs: set[str]) -> None:
    assert make_method("ascl", options).needs == needs


def test_infonce_counts_once_in_combinations() -> None:
    both = make_method("ascl+infonce")
    assert both.weights == {"ascl_i": 0.5, "ascl_ii_iii": 0.5, "ascl_overhard": 0.0}
    assert both(answer(), batch(IDS_5)).keys() == both.weights.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"u1": 1.5}, "u1=1.5"),
        ({"tau": -0.1}, "tau=-0.1"),
        ({"positives": "concat,truncat"}, "positives: unknown value 'truncat'.*Did you mean 'truncate'"),
        ({"negatives": "tokens"}, "negatives: unknown value 'tokens'.*Did you mean 'token'"),
        ({"operations": "gauss"}, "operations: unknown value 'gauss'"),
        ({"filter_mode": "clip"}, "filter_mode: unknown value 'clip'"),
        ({"operations": "insert,drop"}, "'drop' and the positive 'truncate'"),
        ({"negatives": "none", "operations": "insert"}, "operations='insert': with negatives='none' there"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_method("ascl", options)


def test_the_preset_of_the_authors_and_options_beside_it() -> None:
    method = make_method("ascl", {"preset": "acf"})
    assert isinstance(method, AsCL)
    assert (method.u1, method.tau, method.negatives) == (0.8, 0.1, "feature")
    assert method.operations == list(FEATURE_NOISE)
    assert method.weights == {"ascl_i": 0.4, "ascl_ii_iii": 0.6, "ascl_overhard": 0.0}
    on_features = make_method("ascl+cusa", {"preset": "acf", "u1": 0.0, "alpha": 1.0})
    assert on_features.needs == {"tokens", "positive_text", "teachers"}
    with pytest.raises(ModelError, match=r"preset='acff': no such preset\. Did you mean 'acf'"):
        make_method("ascl", {"preset": "acff"})
    with pytest.raises(ModelError, match="preset='acf': the method 'infonce' has no presets"):
        make_method("infonce", {"preset": "acf"})


def test_heads_must_divide_the_dimensions() -> None:
    with pytest.raises(ModelError, match="heads=3: must divide the model's 8"):
        AsCL(u1=0.5, heads=3).build(Setup(8))


def test_local_similarity_without_patches_is_refused() -> None:
    out = answer()
    out.image_tokens = None
    with pytest.raises(ModelError, match=r"cached image features do not have.*u1=0"):
        AsCL(u1=0.5)(out, batch(IDS_5))
    assert AsCL(negatives="feature")(out, batch(IDS_5))["ascl_i"].isfinite()


# -- its captions --------------------------------------------------------------------------------------------

CAPTIONS = [["a red dog", "one dog on grass"], ["two white cats", "cats"], ["x"]]


def built(**options: Any) -> AsCL:
    method = AsCL(**options)
    method.build(Setup(8, captions=CAPTIONS, triples=[("hound", "Synonym", "dog")]))
    return method


def test_positives_follow_the_options() -> None:
    random = np.random.default_rng(0)
    made = {built().positive_text(CAPTIONS[0], 1, random) for _ in range(40)}
    assert made == {"one dog"} | {f"{one} {other}" for one in CAPTIONS[0] for other in CAPTIONS[0]}
    method = built(positives="paraphrase")
    assert "one hound on grass" in {method.positive_text(CAPTIONS[0], 1, random) for _ in range(40)}


@pytest.mark.parametrize("operation", ["insert", "swap", "shuffle", "drop"])
def test_negatives_follow_the_options_and_differ_from_the_caption(operation: str) -> None:
    method, random = built(operations=operation, positives="concat"), np.random.default_rng(0)
    made = [method.negative_text("a red dog", "two cats", random).split() for _ in range(30)]
    for words in made:
        assert words != ["a", "red", "dog"]
        assert {
            "insert": sorted(words) == ["a", "dog", "red", "two"],
            "swap": len(words) == 3 and len({"white", "cats"} & set(words)) == 1,
            "shuffle": sorted(words) == ["a", "dog", "red"],
            "drop": len(words) == 2,
        }[operation]
    assert {method.negative_text("x", "two cats", random) for _ in range(30)} == {"x two", "two x"}


def test_drop_is_not_used_together_with_truncate() -> None:
    assert built().operations == ["insert", "swap", "shuffle"]
    assert built(positives="concat").operations == ["insert", "swap", "shuffle", "drop"]
    assert built(negatives="feature").operations == list(FEATURE_NOISE)


# -- training ------------------------------------------------------------------------------------------------

OPTIONS: dict[str, dict[str, Any]] = {
    "dual": {},
    "local": {"u1": 0.8, "positives": "concat,paraphrase", "operations": "drop,swap"},
    "feature": {"u1": 0.5, "negatives": "feature", "heads": 4, "filter_mode": "drop", "tau": 0.1},
}


def run(world: Path, out: Path, options: dict[str, Any], **changes: Any) -> Path:
    small = {"model": "tiny/none", "vocab_size": 300, "batch_size": 16, "device": "cpu", "lr": 3e-3}
    small |= {"max_steps": 6, "save_every": 4, "captions_per_image": 2, "word_dropout": 0.2, "crop": 0.0}
    return train("ascl", f"folder:{world}", out=out, options=options, progress=False, **{**small, **changes})


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_equals_an_uninterrupted_run(
    world: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, out = run(world, tmp_path / "unbroken", OPTIONS[name]), tmp_path / "out"
    update = TrainStep.update

    def press(self: TrainStep, loaded: Any, step: int, total: int) -> dict[str, float]:
        if step == 2:
            signal.raise_signal(signal.SIGINT)
        return update(self, loaded, step, total)

    monkeypatch.setattr(TrainStep, "update", press)
    with pytest.raises(KeyboardInterrupt, match="after step 3 of 6"):
        run(world, out, OPTIONS[name])
    monkeypatch.undo()
    run(world, out, OPTIONS[name], resume=True)
    one, other = (load_file(folder / "open_clip_model.safetensors") for folder in (unbroken, out))
    assert not [key for key in one if not torch.equal(one[key], other[key])]
    assert all(map(math.isfinite, losses(out)))


def test_learns(world: Path, tmp_path: Path) -> None:
    out = run(world, tmp_path / "out", {"u1": 0.5}, max_steps=60, captions_per_image=1, word_dropout=0.0)
    assert losses(out)[-1] < losses(out)[0] - 0.5


def test_cached_features_train_the_dual_encoder_only(world: Path, tmp_path: Path) -> None:
    out = run(world, tmp_path / "out", {"negatives": "feature"}, image_features="cache")
    assert all(map(math.isfinite, losses(out)))
    with pytest.raises(ModelError, match="cached image features do not have"):
        run(world, tmp_path / "local", {"u1": 0.8}, image_features="cache")
