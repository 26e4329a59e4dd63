"""Can it be told from a score that nothing matches? Queries true of something in a gallery, and of nothing.

    python benchmarks/calibration.py

Gallery: picturebook:test. Queries: the 5,000 captions of other scenes (picturebook:val), sorted by truth, and
letters at random. Prints, per way to tell, the AUROC against either and, of `analysis.calibration`, how many
are called matchless at a stated false-alarm rate.
"""

from typing import Annotated

import numpy as np
import typer
from sklearn.metrics import roc_auc_score

from analysis.calibration import Calibration
from itr_core import load_encoder, load_pairs
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.splits import scene_of


def main(
    model: Annotated[str, typer.Argument(help="Model spec.")] = "starter:infonce",
    rate: Annotated[float, typer.Option(help="False-alarm rate.")] = 0.05,
) -> None:
    encoder, pairs = load_encoder(model), load_pairs("picturebook:test")
    texts, image_of_caption = pairs.flat_captions()
    images = encoder.encode_images(pair.image for pair in pairs)
    captions = [caption for index in range(1000) for caption in captions_of(scene_of("val", index))]
    scenes = [scene_of("test", index) for index in range(len(pairs))]
    true = SceneRelevance(scenes, [caption.meaning for caption in captions]).matrix().any(axis=0)

    calibration = Calibration.of(images, encoder.encode_texts(texts), image_of_caption)
    queries = encoder.encode_texts([caption.text for caption in captions])
    letters = encoder.encode_texts(nonsense(200))
    ways, of_letters = ways_to_tell(calibration, images, queries), ways_to_tell(calibration, images, letters)
    print(
        f"{true.sum()} queries are true of something, {(~true).sum()} of nothing, {len(letters)} are letters"
    )
    for name, values in ways.items():
        auroc = roc_auc_score(true, values)
        judged = np.r_[values[true], of_letters[name]]
        against_letters = roc_auc_score(np.arange(len(judged)) < true.sum(), judged)
        print(f"{name:24} AUROC {auroc:.3f}, against letters {against_letters:.3f}")
    told, told_of_letters = ways["calibration"] <= rate, of_letters["calibration"] <= rate
    print(
        f'"nothing matches" at a false-alarm rate of {rate:.0%} is said of {told[true].mean():.1%} of these,'
    )
    print(f"{told[~true].mean():.1%} of those and {told_of_letters.mean():.1%} of letters")


def ways_to_tell(calibration: Calibration, images: np.ndarray, queries: np.ndarray) -> dict[str, np.ndarray]:
    similarity = queries @ images.T
    best = similarity.max(axis=1)
    return {
        "best score": best,
        "deviation of the best": (best - similarity.mean(axis=1)) / similarity.std(axis=1),
        "excess over the kind": best - (queries @ calibration.slope + calibration.intercept),
        "calibration": calibration.chance(queries, best),
    }


def nonsense(count: int, seed: int = 0) -> list[str]:
    """One to four words of three to nine letters at random."""
    rng = np.random.default_rng(seed)
    alphabet = list("abcdefghijklmnopqrstuvwxyz")
    return [
        " ".join("".join(rng.choice(alphabet, rng.integers(3, 10))) for _ in range(rng.integers(1, 5)))
        for _ in range(count)
    ]


if __name__ == "__main__":
    typer.run(main)
