"""Measure how well similarity scores tell queries with a match in a gallery from queries without one.

    python benchmarks/calibration.py

The gallery is picturebook:test. The queries are the 5,000 captions of other scenes (picturebook:val), which
the exact relevance divides into those that are true of some image and those that are true of none, and
strings of random letters. Each detector gets an AUROC against both kinds of queries without a match. For
`analysis.calibration` the share of queries that it reports as unmatched is measured as well, at a stated
false-alarm rate.
"""

from typing import Annotated

import numpy as np
import typer
from reporting import ResultsOption, report
from results import Column, Row, Table
from sklearn.metrics import roc_auc_score

from analysis.calibration import Calibration
from itr_core import load_encoder, load_pairs
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.splits import scene_of

TITLES = {
    "best": "best score",
    "deviation": "standardised best score",
    "excess": "best score minus its expectation for the query",
    "calibration": "both tests of `analysis.calibration`",
}
NONSENSE = 200


def main(
    model: Annotated[str, typer.Argument(help="Model spec.")] = "starter:infonce",
    rate: Annotated[float, typer.Option(help="False-alarm rate of the reports, in (0, 1).")] = 0.05,
    results: ResultsOption = None,
) -> None:
    """Measure how well similarity scores tell queries with a match from queries without one."""
    encoder, pairs = load_encoder(model), load_pairs("picturebook:test")
    texts, image_of_caption = pairs.flat_captions()
    images = encoder.encode_images(pair.image for pair in pairs)
    captions = [caption for index in range(1000) for caption in captions_of(scene_of("val", index))]
    scenes = [scene_of("test", index) for index in range(len(pairs))]
    true = SceneRelevance(scenes, [caption.meaning for caption in captions]).matrix().any(axis=0)

    calibration = Calibration.of(images, encoder.encode_texts(texts), image_of_caption)
    queries = encoder.encode_texts([caption.text for caption in captions])
    of_captions = detectors(calibration, images, queries)
    of_nonsense = detectors(calibration, images, encoder.encode_texts(nonsense(NONSENSE)))
    aurocs = []
    for name, values in of_captions.items():
        with_nonsense = np.r_[values[true], of_nonsense[name]]
        cells = {
            "captions": float(roc_auc_score(true, values)),
            "nonsense": float(roc_auc_score(np.arange(len(with_nonsense)) < true.sum(), with_nonsense)),
        }
        aurocs.append(Row(title=TITLES[name], cells={**cells}))
    reported = of_captions["calibration"] <= rate
    kinds = {
        "captions true of some image": reported[true],
        "captions true of no image": reported[~true],
        "random letters": of_nonsense["calibration"] <= rate,
    }
    shares = [
        Row(title=title, cells={"queries": len(each), "reported": 100 * float(each.mean())})
        for title, each in kinds.items()
    ]
    auroc_columns = {
        "captions": Column(title="captions with / without a match", format=".3f"),
        "nonsense": Column(title="captions with a match / random letters", format=".3f"),
    }
    share_columns = {
        "queries": Column(title="queries", format=",.0f"),
        "reported": Column(title="reported as unmatched", unit="%"),
    }
    tables = {
        "auroc": Table(title="AUROC of", columns=auroc_columns, rows=aurocs),
        "reports": Table(columns=share_columns, rows=shares),
    }
    report("calibration", tables, results, [f"{model}; stated false-alarm rate {rate:.0%}."])


def detectors(calibration: Calibration, images: np.ndarray, queries: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores (queries,) of each detector; a query with a match should have the higher one."""
    similarity = queries @ images.T
    best = similarity.max(axis=1)
    return {
        "best": best,
        "deviation": (best - similarity.mean(axis=1)) / similarity.std(axis=1),
        "excess": best - (queries @ calibration.slope + calibration.intercept),
        "calibration": calibration.p_value(queries, best),
    }


def nonsense(count: int, seed: int = 0) -> list[str]:
    """Return strings of one to four words of three to nine random letters."""
    rng = np.random.default_rng(seed)
    alphabet = list("abcdefghijklmnopqrstuvwxyz")
    return [
        " ".join("".join(rng.choice(alphabet, rng.integers(3, 10))) for _ in range(rng.integers(1, 5)))
        for _ in range(count)
    ]


if __name__ == "__main__":
    typer.run(main)
