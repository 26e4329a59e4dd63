"""Counterfactual captions: does a model rank what is true of an image above what is almost true?

A probe changes one thing of a caption. On Picturebook, edits have known truth (`itr_core.picturebook.edits`);
elsewhere words of small lists are swapped (`analysis.probes.word_edits`), and what is swapped in is taken to be
false. Accuracy is that of SugarCrepe (Hsieh et al., NeurIPS 2023): how often the true caption scores higher.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from analysis.probes.word_edits import negated, object_words, word_edits
from itr_core.metrics.bootstrap import image_bootstrap
from itr_core.picturebook.captions import canonical_caption
from itr_core.picturebook.edits import edits_of
from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning
from itr_core.picturebook.wording import article

_BLOCK = 1 << 24  # cosines that exist at once


class TextEncoder(Protocol):
    def encode_texts(self, texts: Sequence[str], /) -> np.ndarray:
        """Texts -> (N, d) float32, unit rows."""
        ...


@dataclass(frozen=True)
class Probe:
    """A caption that is true of an image, and an edited one; `true`: whether that is true, too."""

    kind: str
    before: str
    after: str
    true: bool = False


def scene_probes(scene: Scene, rng: np.random.Generator) -> list[Probe]:
    """One probe of each sort of edit that a scene of Picturebook allows, with exact truth.

    Two sorts are negations. "negate" denies what is there ("no brown dog in a forest"). "without" is true
    before ("a brown dog without a boat", where there is no boat) and false after ("a brown dog without a
    tree", where there is one): a model that overhears "without" prefers the latter.
    """
    edits = edits_of(scene, rng)
    probes = [Probe(edit.name, edit.before.text, edit.after.text, edit.true) for edit in edits]
    first = edits[0].before.meaning.things[0]
    plain = canonical_caption(Meaning((first,)))
    setting = canonical_caption(Meaning(place=scene.place))
    probes += [Probe("negate", f"{plain} {setting}", f"{after} {setting}") for after in negated(plain)]
    here = {term for thing in scene.things for term in KINDS[thing.kind].is_a}
    present = sorted({thing.kind for thing in scene.things if first.term not in KINDS[thing.kind].is_a})
    absent = [kind.name for kind in KINDS.values() if scene.place in kind.places and kind.name not in here]
    if present and absent:
        start = f"{plain} {setting} without"
        missing, there = (article(kinds[int(rng.random() * len(kinds))]) for kinds in (absent, present))
        probes.append(Probe("without", f"{start} {missing}", f"{start} {there}"))
    return probes


def gallery_probes(
    captions: Sequence[str],
    image_of_caption: np.ndarray,
    truth: SceneRelevance | None = None,
    *,
    most: int = 500,
    seed: int = 0,
) -> tuple[list[Probe], np.ndarray]:
    """Probes of at most `most` images, drawn at random, and (p,) the image of each probe.

    captions: m texts. owner: (m,) the image of each. truth: `SceneRelevance` of Picturebook, if these are its scenes
    (see `analysis.ground_truth`); otherwise the words of one caption of each image are swapped.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.unique(image_of_caption))[:most]
    objects = [] if truth else object_words(captions)
    probes: list[Probe] = []
    images: list[int] = []
    for row in rows.tolist():
        if truth:
            made = scene_probes(truth.scenes[row], rng)
        else:
            told = [captions[caption] for caption in np.flatnonzero(image_of_caption == row).tolist()]
            caption = told[int(rng.random() * len(told))]
            made = [Probe(*edit) for edit in word_edits(caption, rng, objects=objects, told=told)]
        probes += made
        images += [row] * len(made)
    return probes, np.array(images, dtype=np.int64)


def probe_table(
    encoder: TextEncoder, images: np.ndarray, probes: Sequence[Probe], rows: np.ndarray | int
) -> pd.DataFrame:
    """What an edit does to the score and the rank of its image; one row per probe.

    Args:
        encoder: of the captions; its space is that of the images.
        images: (n, d) float32, unit rows: the gallery.
        probes: p of them. rows: (p,) the image that each is about, or one for all.

    Returns:
        kind, before, after, true, image; score: cosine of the image and the edited caption; change: to that
        of the caption before; rank: of the image among all n for the edited caption (1 is first, ties
        halved); rank_change: likewise, above 0 where it falls back.
    """
    rows = np.broadcast_to(np.asarray(rows, dtype=np.int64), len(probes))
    place: dict[str, int] = {}
    for probe in probes:
        for text in (probe.before, probe.after):
            place.setdefault(text, len(place))
    texts = encoder.encode_texts(list(place))
    (score, rank), (old_score, old_rank) = (
        _scored(images, texts[[place[text] for text in said]], rows)
        for said in ([probe.after for probe in probes], [probe.before for probe in probes])
    )
    table = pd.DataFrame(probes, columns=["kind", "before", "after", "true"]).assign(image=rows)
    return table.assign(score=score, change=score - old_score, rank=rank, rank_change=rank - old_rank)


def with_true_captions(probes: Sequence[Probe]) -> list[Probe]:
    """The probes by their true caption, which comes first as it is: a probe of kind "" that changes nothing.

    >>> [probe.after for probe in with_true_captions([Probe("negate", "a dog", "no dog")])]
    ['a dog', 'no dog']
    """
    result = []
    for before in dict.fromkeys(probe.before for probe in probes):
        result.append(Probe("", before, before, true=True))
        result += [probe for probe in probes if probe.before == before]
    return result


def probe_accuracy(table: pd.DataFrame) -> pd.DataFrame:
    """How often the true caption scores higher than the false one; chance is 0.5, ties count half.

    Args:
        table: of `probe_table`; edits that stay true are left out.

    Returns:
        Index kind, the hardest first; probes, images (how many); accuracy in [0, 1] with its 95 % interval
        over images, low and high.
    """
    false = table[~table["true"].astype(bool)]
    rows = {}
    for kind, some in false.groupby("kind"):
        right = (1 - np.sign(some["change"].to_numpy())) / 2
        image = np.unique(some["image"], return_inverse=True)[1]
        count = int(image.max()) + 1
        rows[kind] = (len(some), count, right.mean(), *image_bootstrap(right, image, count))
    columns = ["probes", "images", "accuracy", "low", "high"]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("kind")
    return found.sort_values("accuracy", kind="stable")


def _scored(images: np.ndarray, texts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and rank of images[rows[k]] for texts[k]; float64 (k,) twice."""
    score, rank = np.empty(len(texts)), np.empty(len(texts))
    for start in range(0, len(texts), step := max(1, _BLOCK // len(images))):
        some = slice(start, start + step)
        block = texts[some] @ images.T
        own = np.take_along_axis(block, rows[some, None], axis=1)
        score[some] = own[:, 0]
        rank[some] = 0.5 + (block > own).sum(1) + (block == own).sum(1) / 2
    return score, rank
