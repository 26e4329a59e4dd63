"""Counterfactual captions: does a model score a true caption higher than a false one that differs slightly?

A probe changes one thing in a caption. In Picturebook the truth of an edit is known
(`itr_core.picturebook.edits`). Elsewhere, words are swapped (`analysis.probes.word_edits`) and the edited
caption is taken as false. The accuracy is that of SugarCrepe (Hsieh et al., NeurIPS 2023): the share of
probes whose true caption scores higher.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from analysis.probes.word_edits import negated, object_words, word_edits
from itr_core.metrics.bootstrap import image_bootstrap
from itr_core.metrics.sampling import shuffled_rows
from itr_core.picturebook.captions import canonical_caption
from itr_core.picturebook.edits import edits_of
from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning
from itr_core.picturebook.wording import article

_BLOCK = 1 << 24
"""Cosines that exist at once."""


class TextEncoder(Protocol):
    """Anything that encodes texts, such as a `DualEncoder`."""

    def encode_texts(self, texts: Sequence[str], /) -> np.ndarray:
        """Return one unit vector per text, float32 (N, d)."""


@dataclass(frozen=True)
class Probe:
    """A true caption of an image (`before`) and an edited one (`after`), which may be `true`, too."""

    kind: str
    before: str
    after: str
    true: bool = False


def scene_probes(scene: Scene, random: np.random.Generator) -> list[Probe]:
    """Make one probe of each kind that a scene of Picturebook allows, with exact truth.

    The kinds are those of `itr_core.picturebook.edits` and two negations. "negate" denies an object of the
    scene ("no brown dog in a forest"). "without" is true before ("a brown dog without a boat", in a scene
    without a boat) and false after ("a brown dog without a tree", in a scene with a tree). A model that
    ignores "without" prefers the latter.
    """
    edits = edits_of(scene, random)
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
        missing, shown = (article(kinds[int(random.random() * len(kinds))]) for kinds in (absent, present))
        probes.append(Probe("without", f"{start} {missing}", f"{start} {shown}"))
    return probes


def gallery_probes(
    captions: Sequence[str],
    image_of_caption: np.ndarray,
    truth: SceneRelevance | None = None,
    *,
    max_images: int = 500,
    seed: int = 0,
) -> tuple[list[Probe], np.ndarray]:
    """Make probes of a random sample of the captioned images.

    Args:
        captions: m strings.
        image_of_caption: (m,) image row of each caption.
        truth: of the scenes, if they are those of Picturebook (see `analysis.ground_truth`). Otherwise words
            of one caption of each image are swapped.
        max_images: largest size of the sample.
        seed: of the sample and the edits.

    Returns:
        p probes, and the image row of each, int64 (p,).
    """
    random = np.random.default_rng(seed)
    captioned = np.unique(image_of_caption)
    rows = captioned[shuffled_rows(random, len(captioned), max_images)]
    objects = [] if truth else object_words(captions)
    probes: list[Probe] = []
    images: list[int] = []
    for row in rows.tolist():
        if truth:
            made = scene_probes(truth.scenes[row], random)
        else:
            own = [captions[caption] for caption in np.flatnonzero(image_of_caption == row).tolist()]
            caption = own[int(random.random() * len(own))]
            made = [Probe(*edit) for edit in word_edits(caption, random, objects=objects, captions=own)]
        probes += made
        images += [row] * len(made)
    return probes, np.array(images, dtype=np.int64)


def probe_table(
    encoder: TextEncoder, images: np.ndarray, probes: Sequence[Probe], rows: np.ndarray | int
) -> pd.DataFrame:
    """Measure the effect of each edit on the score and the rank of its image.

    Args:
        encoder: of the captions, in the space of the images.
        images: (n, d) float32 unit vectors of the gallery.
        probes: p probes.
        rows: (p,) image row of each probe, or one row for all.

    Returns:
        One row per probe. Columns: kind, before, after, true, image; score (cosine of the image and the
        edited caption); change (score minus that of the caption before); rank (of the image among all n for
        the edited caption, 1 is best, ties count half); rank_change (rank minus that of the caption before).
    """
    rows = np.broadcast_to(np.asarray(rows, dtype=np.int64), len(probes))
    column: dict[str, int] = {}
    for probe in probes:
        for text in (probe.before, probe.after):
            column.setdefault(text, len(column))
    texts = encoder.encode_texts(list(column))
    (score, rank), (old_score, old_rank) = (
        _scored(images, texts[[column[text] for text in versions]], rows)
        for versions in ([probe.after for probe in probes], [probe.before for probe in probes])
    )
    table = pd.DataFrame(probes, columns=["kind", "before", "after", "true"]).assign(image=rows)
    return table.assign(score=score, change=score - old_score, rank=rank, rank_change=rank - old_rank)


def with_true_captions(probes: Sequence[Probe]) -> list[Probe]:
    """Group probes by their true caption, and put it first as a probe of kind "" that changes nothing.

    >>> [probe.after for probe in with_true_captions([Probe("negate", "a dog", "no dog")])]
    ['a dog', 'no dog']
    """
    result = []
    for before in dict.fromkeys(probe.before for probe in probes):
        result.append(Probe("", before, before, true=True))
        result += [probe for probe in probes if probe.before == before]
    return result


def probe_accuracy(table: pd.DataFrame) -> pd.DataFrame:
    """Compute the share of probes whose true caption scores higher than the false one.

    Chance is 0.5, and ties count half. Probes whose edited caption is true are skipped.

    Args:
        table: of `probe_table`.

    Returns:
        Index: kind, lowest accuracy first. Columns: probes, images (their numbers); accuracy in [0, 1]; low
        and high, its 95 % interval over images.
    """
    false = table[~table["true"].astype(bool)]
    rows = {}
    for kind, group in false.groupby("kind"):
        right = (1 - np.sign(group["change"].to_numpy())) / 2
        image = np.unique(group["image"], return_inverse=True)[1]
        count = int(image.max()) + 1
        rows[kind] = (len(group), count, right.mean(), *image_bootstrap(right, image, count))
    columns = ["probes", "images", "accuracy", "low", "high"]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("kind")
    return found.sort_values("accuracy", kind="stable")


def _scored(images: np.ndarray, texts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and rank of images[rows[k]] for texts[k], two float64 (k,)."""
    score, rank = np.empty(len(texts)), np.empty(len(texts))
    for start in range(0, len(texts), step := max(1, _BLOCK // len(images))):
        part = slice(start, start + step)
        block = texts[part] @ images.T
        own = np.take_along_axis(block, rows[part, None], axis=1)
        score[part] = own[:, 0]
        rank[part] = 0.5 + (block > own).sum(1) + (block == own).sum(1) / 2
    return score, rank
