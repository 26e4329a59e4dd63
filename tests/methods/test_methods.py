"""Methods by name: options and combinations."""

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError
from itr_core.features.image_rows import StoredImages
from itr_core.methods import METHODS, Combined, Method, Setup, make_method
from itr_core.methods.base import INFONCE
from itr_core.training.batches import EpochPlan, PairBatchDataset
from itr_core.training.method_inputs import MethodInputs
from tests.support import present


class Loud(Method):
    """A method based on InfoNCE with a head and upper-case positives."""

    needs = frozenset({"positive_text", "labels"})

    def __init__(self, *, alpha: float = 0.5, mode: str = "each", both: bool = True) -> None:
        super().__init__()
        self.weights = {INFONCE: 1.0, "loud": alpha}
        self.mode, self.both = mode, both
        self.prepared = 0

    def build(self, setup: Setup) -> None:
        self.head = torch.nn.Linear(setup.dim, len(setup.labels))

    def prepare(self, setup: Setup) -> None:
        self.prepared += 1

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        return {INFONCE: torch.tensor(3.0), "loud": torch.tensor(10.0)}

    def positive_text(self, captions: Any, anchor: int, random: np.random.Generator) -> str:
        return captions[anchor].upper()


class Own(Method):
    """A method with its own contrastive loss."""

    needs = frozenset({"negative_text"})
    replaces_infonce = True
    weights = {"own": 2.0}  # noqa: RUF012 - never changed in place

    def __init__(self, *, alpha: float = 0.1) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        return {"own": torch.tensor(100.0)}

    def negative_text(self, caption: str, other: str, random: np.random.Generator) -> str:
        return f"{caption} | {other}"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "loud", Loud)
    monkeypatch.setitem(METHODS, "own", Own)


def total(method: Method) -> float:
    terms = method(None, None)
    return sum(method.weights[name] * term.item() for name, term in terms.items())


def test_options_reach_every_member_that_has_them() -> None:
    assert make_method("loud", {"alpha": 2}).weights["loud"] == 2
    both = make_method("loud+own", {"alpha": 0.25, "mode": "add"})
    loud, own = (both.get_submodule(f"members.{name}") for name in ("loud", "own"))
    assert isinstance(loud, Loud)
    assert isinstance(own, Own)
    assert loud.weights["loud"] == own.alpha == 0.25


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lout", {}, r"Unknown method 'lout'\. Did you mean 'loud'"),
        ("loud+", {}, "Unknown method ''"),
        ("loud+loud", {}, "contains a part twice"),
        ("loud", {"alfa": 1.0}, r"'loud' has no option 'alfa'\. Did you mean 'alpha'"),
        ("infonce", {"alpha": 1.0}, "'infonce' has no option 'alpha'"),
        ("loud", {"alpha": "much"}, r"alpha='much': the method 'loud' needs a value like 0\.5"),
        ("loud", {"both": 1}, r"both=1: .* like True"),
        ("loud", {"alpha": True}, r"alpha=True: .* like 0\.5"),
        ("loud", {"alpha": math.nan}, "alpha=nan: the method 'loud' needs a finite number"),
        ("loud+own", {"alpha": math.inf}, r"alpha=inf: the method 'loud\+own' needs a finite number"),
        ("loud", {"preset": "coco"}, "preset='coco': the method 'loud' has no presets"),
        ("crcgs", {"preset": "cocoo"}, r"preset='cocoo': no such preset\. Did you mean 'coco'"),
        ("crcgs", {"preset": ["coco"]}, r"preset=\['coco'\]: no such preset"),
    ],
)
def test_a_bad_name_or_option_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_method(name, options)


@pytest.mark.parametrize(
    ("method", "bounds"),
    [
        ("ascl", {"u1": (0, 1), "tau": (0, None), "w_i": (0, None), "w_pos": (0, None), "heads": (1, None)}),
        (
            "coder",
            {
                **dict.fromkeys(("sharpness", "lambda_c", "lambda_p", "lambda_kl"), (0, None)),
                "momentum": (0, 1),
                "queue": (-1, None),
                "clusters": (2, None),
                "lambda_s": (0, None),
            },
        ),
        (
            "crcgs",
            {
                **dict.fromkeys(
                    ("w_infonce", "w_t", "w_c", "w_ss", "w_ta", "phi", "alpha_pair", "beta_inv"), (0, None)
                ),
                **dict.fromkeys(("nce_temperature", "support_temperature"), (1e-9, None)),
                "noise_count": (-1, None),
                "code_dim": (1, None),
                "generator_width": (1, None),
            },
        ),
        ("cusa", {"alpha": (0, None), "beta": (0, None), "tau_s": (1e-9, None), "tau_init": (0.1, 0.99)}),
        ("infonce", {"siblings": (0, None), "hard_negatives": (0, None)}),
        ("siglip", {}),
    ],
)
def test_every_number_has_a_range(method: str, bounds: dict[str, tuple[float, float | None]]) -> None:
    parameters = inspect.signature(METHODS[method].__init__).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    numbers = {name: value for name, value in defaults.items() if type(value) in (int, float)}
    assert numbers.keys() == bounds.keys()
    for name, (least, most) in bounds.items():
        number = type(numbers[name])
        make_method(method, {name: number(least)})
        too_small = number(least) - (0.5 if number is float else 1)
        for value in [too_small] if most is None else [too_small, most + 0.5]:
            with pytest.raises(ModelError, match=rf"{name}={value}: .*must be"):
                make_method(method, {name: value})


def test_infonce_counts_once_or_not_at_all() -> None:
    assert total(make_method("loud")) == 3 + 0.5 * 10
    assert total(make_method("own+loud")) == 2 * 100 + 0.5 * 10
    assert INFONCE not in make_method("loud+own")(None, None)


def test_a_combination_is_built_and_prepared_with_its_members() -> None:
    both = make_method("loud+own")
    assert isinstance(both, Combined)
    setup = Setup(dim=4, labels=["a", "b", "c"])
    both.build(setup)
    both.prepare(setup)
    assert both.needs == {"positive_text", "labels", "negative_text"}
    assert both.members["loud"].prepared == 1
    assert {tuple(weight.shape) for weight in both.heads().values()} == {(3, 4), (3,)}


def test_method_inputs_follow_the_rows_and_are_deterministic() -> None:
    captions = [[f"image {row} text {k}" for k in range(1 + row % 3)] for row in range(9)]
    captions[4] = []
    labels = np.arange(9)[:, None] == np.arange(9)[None, :]
    teachers = np.arange(9.0)[:, None], np.arange(sum(map(len, captions)), dtype=np.float16)[:, None]
    inputs = MethodInputs(make_method("loud+own"), words_as_numbers, captions, labels, None, teachers)
    images = StoredImages(np.arange(9, dtype=np.float32)[:, None], {})
    plan = EpochPlan(np.array([0, 1, 2, 3, 5, 6, 7, 8]), 4, seed=1)
    batches = PairBatchDataset(images, captions, words_as_numbers, plan, captions_per_image=2, inputs=inputs)
    flat = [text for texts in captions for text in texts]
    for number in range(8):
        pairs = batches[number].pairs
        rows = pairs.image_id
        assert [flat[place] for place in present(pairs.caption_id).tolist()] == pairs.captions
        assert torch.equal(present(pairs.labels).argmax(1), rows)
        assert torch.equal(present(pairs.teacher_image)[:, 0].long(), rows)
        assert torch.equal(present(pairs.teacher_text)[:, 0].long(), present(pairs.caption_id))
        assert [as_text(ids) for ids in present(pairs.positive_text)] == [
            text.upper() for text in pairs.captions
        ]
        for row, text, ids in zip(rows.tolist(), pairs.captions, present(pairs.negative_text), strict=True):
            own, other = as_text(ids).split(" | ")
            assert own == text
            assert other in flat
            assert f"image {row} " not in other
        again = batches[number].pairs
        assert torch.equal(present(again.negative_text), present(pairs.negative_text))


def test_generated_positives_lose_words_like_captions() -> None:
    captions = [[" ".join(f"row{row}word{k}" for k in range(40))] for row in range(12)]
    inputs = MethodInputs(make_method("loud"), lambda texts: texts, captions, word_dropout=0.5)
    texts = [texts[0] for texts in captions]
    given = np.arange(12), np.zeros(12, np.int64), np.arange(12), texts, (3, 4)
    positives = inputs(*given)["positive_text"]
    kept = [str(text).lower().split() for text in positives]
    assert 0.4 < sum(map(len, kept)) / (12 * 40) < 0.6
    assert all(set(words) < set(text.split()) for words, text in zip(kept, texts, strict=True))
    assert inputs(*given)["positive_text"] == positives


def test_unneeded_inputs_are_not_computed() -> None:
    images = StoredImages(np.zeros((2, 1), np.float32), {})
    inputs = MethodInputs(make_method("infonce"), words_as_numbers, [["a"], ["b"]])
    pairs = PairBatchDataset(
        images, [["a"], ["b"]], words_as_numbers, EpochPlan(np.arange(2), 2, 0), inputs=inputs
    )[0].pairs
    extras = ("positive_text", "negative_text", "labels", "concepts", "teacher_image", "teacher_text")
    assert all(getattr(pairs, name) is None for name in extras)


def words_as_numbers(texts: list[str]) -> Tensor:
    return torch.tensor([[ord(letter) for letter in text.ljust(60)[:60]] for text in texts])


def as_text(ids: Tensor) -> str:
    return "".join(map(chr, ids.tolist())).strip()
