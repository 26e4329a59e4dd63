"""Report cards of encoders whose answers follow by construction."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.probes.counterfactuals import TextEncoder
from analysis.report_card.measure import margins, report_card, tabulate
from analysis.report_card.picture import card_png, card_svg
from analysis.report_card.questions import Question, make_questions
from itr_core.picturebook.splits import scene_of

DIM = 256


def direction(word: str) -> np.ndarray:
    """Return a random unit vector that the word determines."""
    vector = np.random.default_rng(list(word.encode())).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class WholeTexts:
    """Gives every text a direction of its own."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([direction(text) for text in texts])


class BagOfWords:
    """Adds up the directions of the words, in their order: sums of equal words differ by rounding."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        sums = [np.sum([direction(word) for word in text.split()], axis=0) for text in texts]
        return np.array([each / np.linalg.norm(each) for each in sums], dtype=np.float32)


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return make_questions([scene_of("test", index) for index in range(200)], 12)


def answers(questions: Sequence[Question], encoder: TextEncoder) -> pd.DataFrame:
    """Return the card of an encoder whose pictures have the embeddings of all texts that are true of them."""
    kinds = []
    for kind in dict.fromkeys(question.kind for question in questions):
        own = [question for question in questions if question.kind == kind]
        images = {
            row: encoder.encode_texts([text])[0]
            for question in own
            for row, text in zip(question.scenes, question.texts, strict=True)
        }
        kinds.append(tabulate(own, margins(own, encoder, images)))
    return pd.concat(kinds)


def test_an_oracle_hears_everything(questions: list[Question]) -> None:
    card = answers(questions, WholeTexts())
    assert (card[["accuracy", "low", "high", "both"]] == 1).to_numpy().all()
    assert (card["questions"] == 12).all()


def test_a_bag_of_words_fails_order_and_nothing_else(questions: list[Question]) -> None:
    card = answers(questions, BagOfWords())
    (order,) = card.loc[["order"], ["accuracy", "low", "high", "both"]].to_numpy().tolist()
    assert order == [0.5, 0.5, 0.5, 0]
    assert set(card.drop("order")["accuracy"]) == {1.0}


def test_a_model_that_ignores_the_picture_is_right_for_one_of_both(questions: list[Question]) -> None:
    same = dict.fromkeys(range(200), direction("every picture"))
    card = tabulate(questions, margins(questions, WholeTexts(), same))
    assert (card[["accuracy", "low", "high"]] == 0.5).to_numpy().all()
    assert (card["both"] == 0).all()


def test_random_scores_are_at_chance(questions: list[Question]) -> None:
    random = np.random.default_rng(0)
    many = [Question("order", ("a b", "b a"), (0, 1))] * 2000
    card = tabulate(many, random.normal(size=(2000, 2)))
    assert card["accuracy"].item() == pytest.approx(0.5, abs=0.03)
    assert card["both"].item() == pytest.approx(0.25, abs=0.03)
    assert card["low"].item() < 0.5 < card["high"].item()
    assert card["high"].item() - card["low"].item() == pytest.approx(4 * 0.5 / 4000**0.5, rel=0.15)


class MeanColours(BagOfWords):
    """Encodes pictures by their mean colour."""

    def encode_images(self, images: Iterable[Image.Image]) -> np.ndarray:
        rows = [np.resize(np.asarray(image).mean((0, 1)), DIM) for image in images]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


@pytest.fixture(scope="module")
def card() -> pd.DataFrame:
    steps: list[tuple[int, int]] = []
    encoder = MeanColours()
    card = report_card(encoder, questions=2, progress=lambda *step: steps.append(step))  # type: ignore[arg-type] # encodes, and has no other part of the protocol
    assert steps[-1][0] == steps[-1][1] <= 24
    return card


def test_a_card_has_six_kinds_with_examples(card: pd.DataFrame) -> None:
    assert card.index.tolist() == ["negation", "order", "counting", "attributes", "relations", "objects"]
    assert (card["questions"] == 2).all()
    assert (card["image_a"] != card["image_b"]).all()
    with pytest.raises(ValueError, match="questions=0"):
        report_card(MeanColours(), questions=0)  # type: ignore[arg-type] # it is refused before


def test_the_picture_names_model_and_figures(card: pd.DataFrame) -> None:
    svg = card_svg(card.assign(accuracy=0.123, low=0.1, high=0.2), "hostile/<script>alert(1)</script>")
    texts = [text for text in ElementTree.fromstring(svg).itertext() if text.strip()]
    assert texts.count("12 %") == texts.count("10 to 20 %") == 6
    assert "What does hostile/<script>alert(1)</script> hear?" in texts
    assert set(card["text_a"]) | set(card["text_b"]) < set(texts)
    png = card_png(svg)
    with Image.open(BytesIO(png)) as picture:
        assert picture.size == (1200, 630)
        title = np.asarray(picture.convert("L"))[40:80, 40:400]
    assert 0.02 < (title < 128).mean() < 0.5  # it has letters, on a machine without fonts, too


def test_a_long_name_of_a_model_keeps_its_end(card: pd.DataFrame) -> None:
    title = f"What does …{'x' * 39}/the-end hear?"
    assert title in ElementTree.fromstring(card_svg(card, f"local-dir:/{'x' * 90}/the-end")).itertext()
