"""The report card: the accuracy of a model on each kind of question, with intervals."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.probes.counterfactuals import TextEncoder
from analysis.report_card.questions import Question, make_questions
from itr_core.metrics.bootstrap import image_bootstrap
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.splits import scene_of
from itr_core.system.progress import Progress

if TYPE_CHECKING:
    from itr_core.encoders.encoder import Encoder

SPLIT, SCENES = "test", 600
QUESTIONS = 100
"""Default number of questions of each kind."""
CHANCE, CHANCE_OF_BOTH = 0.5, 0.25
_TIE = 1e-6
"""Cosines closer than this are equal: sums of the same float32 numbers in another order differ by less."""
_IMAGES = 32


def report_card(
    encoder: "Encoder", *, questions: int = QUESTIONS, seed: int = 0, progress: Progress | None = None
) -> pd.DataFrame:
    """Measure how often a true text scores higher than a minimally changed, false one.

    The pictures are of `picturebook:test`, and the questions are those of `make_questions`. Each question
    has two pictures, and each text is true of one of them. The same arguments give the same questions.

    Args:
        encoder: The model.
        questions: Largest number of questions of each kind.
        seed: Of the choice of questions.
        progress: Called with the number of encoded pictures.

    Returns:
        Index: kind. Columns: questions; accuracy, the share of pictures whose true text scores higher, ties
        count half (chance 0.5, also for a model that ignores the picture); low and high, its 95 % interval
        over questions; both, the share of questions with both pictures right (chance 0.25: the text score of
        Winoground). And one question as an example: text_a and text_b; image_a and image_b, the ids of the
        pictures of which they are true.

    Raises:
        ValueError: `questions` is below 1.
    """
    if questions < 1:
        raise ValueError(f"questions={questions}: a report card needs at least one question of each kind.")
    scenes = [scene_of(SPLIT, index) for index in range(SCENES)]
    made = make_questions(scenes, questions, seed)
    rows = sorted({row for question in made for row in question.scenes})
    parts = []
    for start in range(0, len(rows), _IMAGES):
        parts.append(encoder.encode_images([draw(scenes[row]) for row in rows[start : start + _IMAGES]]))
        if progress:
            progress(min(start + _IMAGES, len(rows)), len(rows))
    return tabulate(made, margins(made, encoder, dict(zip(rows, np.concatenate(parts), strict=True))))


def margins(questions: Sequence[Question], encoder: TextEncoder, images: dict[int, np.ndarray]) -> np.ndarray:
    """Return the cosine of the true text minus that of the false text for both pictures, (questions, 2).

    Args:
        questions: q questions.
        encoder: Of the texts.
        images: Row of a scene -> its embedding (d,), a unit vector.
    """
    texts = dict.fromkeys(text for question in questions for text in question.texts)
    embeddings = dict(zip(texts, encoder.encode_texts(list(texts)), strict=True))
    of_texts = np.array([[embeddings[text] for text in each.texts] for each in questions], dtype=np.float64)
    of_images = np.array([[images[row] for row in each.scenes] for each in questions], dtype=np.float64)
    scores = np.einsum("qid,qtd->qit", of_images, of_texts)  # (q, pictures, texts)
    true, false = np.diagonal(scores, axis1=1, axis2=2), np.diagonal(scores[:, :, ::-1], axis1=1, axis2=2)
    return true - false


def tabulate(questions: Sequence[Question], differences: np.ndarray) -> pd.DataFrame:
    """Return the table of `report_card`.

    Args:
        questions: q questions.
        differences: (q, 2) as returned by `margins`.
    """
    right = np.where(abs(differences) < _TIE, 0.5, differences > 0)  # (q, 2)
    kinds = np.array([question.kind for question in questions])
    records = {}
    for kind in dict.fromkeys(kinds.tolist()):
        own = right[kinds == kind]
        example = questions[int(np.flatnonzero(kinds == kind)[0])]
        accuracies = own.mean(axis=1)
        low, high = image_bootstrap(accuracies, np.arange(len(own)), len(own))
        records[kind] = {
            "questions": len(own), "accuracy": accuracies.mean(), "low": low, "high": high,
            "both": (own == 1).all(axis=1).mean(),
        } | {
            f"{what}_{letter}": value
            for letter, text, row in zip("ab", example.texts, example.scenes, strict=True)
            for what, value in (("text", text), ("image", f"{SPLIT}-{row:06d}.png"))
        }  # fmt: skip
    return pd.DataFrame.from_dict(records, orient="index").rename_axis("kind")


def verdict(accuracy: float, low: float) -> str:
    """Return in words how well a model hears a kind.

    Args:
        accuracy: Share of pictures whose true text scores higher.
        low: Lower end of its interval.

    >>> [verdict(*each) for each in ((0.97, 0.93), (0.8, 0.75), (0.6, 0.53), (0.52, 0.45), (0.4, 0.3))]
    ['hears it', 'often hears it', 'hardly hears it', 'does not hear it', 'does not hear it']
    """
    if low <= CHANCE:
        return "does not hear it"
    return "hears it" if accuracy >= 0.9 else "often hears it" if accuracy >= 0.7 else "hardly hears it"
