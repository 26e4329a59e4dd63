"""The figures of a starter's model card, measured on `picturebook:test`: 1,000 scenes, 5,000 captions."""

import numpy as np

from itr_core import DualEncoder, load_pairs
from itr_core.metrics import retrieval_metrics
from itr_core.metrics.catalogue import title_of
from itr_core.picturebook.captions import kind_queries, telegraphic_queries
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.source import scenes_of_ids

GOALS = {"full_t2i_r1": 60.0, "full_t2i_r10": 95.0, "kinds_p10": 90.0, "typed_top5": 80.0}
TITLES = {
    "full_t2i_r1": "full caption, T2I R@1",
    "full_t2i_r10": "full caption, T2I R@10",
    "kinds_p10": "one-word queries: first 10 images that contain the kind",
    "typed_top5": "typed queries: a fully correct image among the first 5",
    "t2i_r1": "all captions, T2I R@1",
} | {
    name: title_of(name)
    for name in ("t2i_r5", "t2i_r10", "i2t_r1", "i2t_r5", "i2t_r10", "rsum", "t2i_medr", "i2t_medr")
}


def yardstick(encoder: DualEncoder) -> dict[str, float]:
    """Measure an encoder on `picturebook:test`.

    Returns:
        Percentages, but for rSum and the median ranks.
        `full_t2i_r1`, `full_t2i_r10`: R@K of each scene's full caption, the most detailed of its five.
        `kinds_p10`: of the first 10 images for a kind's bare name (or of as many as contain it, if these are
        fewer), the share that contains it; mean over kinds.
        `typed_top5`: of 100 queries as people type them ("red car beach night"), the share with an image
        among the first 5 in which every fact is right.
        And the figures of `itr_core.metrics.retrieval_metrics` for all captions.
    """
    pairs = load_pairs("picturebook:test")
    scenes = scenes_of_ids(pairs.image_ids)
    images = encoder.encode_images(pairs.image(index) for index in range(len(pairs)))
    texts, image_of_caption = pairs.flat_captions()
    standard = retrieval_metrics(images @ encoder.encode_texts(texts).T, image_of_caption)
    full_captions = encoder.encode_texts([captions[-1] for captions in pairs.captions])
    full = retrieval_metrics(images @ full_captions.T, np.arange(len(pairs)))

    kinds = kind_queries()
    true = SceneRelevance(scenes, [query.meaning for query in kinds]).matrix()
    best = (images @ encoder.encode_texts([query.text for query in kinds]).T).argsort(axis=0)[::-1]
    precision = [
        true[best[: min(10, true[:, kind].sum()), kind], kind].mean()
        for kind in range(len(kinds))
        if true[:, kind].any()
    ]
    typed = telegraphic_queries(scenes)
    true = SceneRelevance(scenes, [query.meaning for query in typed]).matrix()
    best = (images @ encoder.encode_texts([query.text for query in typed]).T).argsort(axis=0)[::-1][:5]
    return {
        "full_t2i_r1": full["t2i_r1"],
        "full_t2i_r10": full["t2i_r10"],
        "kinds_p10": 100 * float(np.mean(precision)),
        "typed_top5": 100 * float(np.take_along_axis(true, best, axis=0).any(axis=0).mean()),
        **standard,
    }
