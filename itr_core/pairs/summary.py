"""Summary of a set of pairs, without decoding images."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from itr_core.pairs.pairset import PairSet
from itr_core.vocabulary import word_count


def summary(pairs: PairSet) -> dict[str, Any]:
    """Count images, captions, words and labels; every value is plain JSON.

    `captions_per_image` and `words_per_caption` are {"least", "mean", "most"}; `labels` counts the images of
    each label, most frequent first; `skipped` lists skipped images as {"name", "reason"}.
    """
    texts, _ = pairs.flat_captions()
    labels = Counter(label for of_image in pairs.labels or [] for label in set(of_image))
    return {
        "source": pairs.source,
        "images": len(pairs),
        "captions": len(texts),
        "different_captions": len(set(texts)),
        "images_without_caption": sum(not captions for captions in pairs.captions),
        "captions_per_image": _range([len(captions) for captions in pairs.captions]),
        "words_per_caption": _range([word_count(text) for text in texts]),
        "labels": dict(labels.most_common()),
        "skipped": [skipped._asdict() for skipped in pairs.skipped],
        "fingerprint": pairs.fingerprint,
    }


def _range(counts: Sequence[int]) -> dict[str, float] | None:
    if not counts:
        return None
    return {"least": min(counts), "mean": round(float(np.mean(counts)), 2), "most": max(counts)}
