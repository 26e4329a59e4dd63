"""What the errors of a model are, and what it overlooks: causes of misses, probes, and what each takes.

pairscope build picturebook:test --model starter:infonce --out test
python benchmarks/misses.py test
"""

import time
from pathlib import Path

import numpy as np
import typer

from analysis.ground_truth import truth_of
from analysis.misses.causes import confusion, misses, shares
from analysis.probes.counterfactuals import gallery_probes, probe_accuracy, probe_table
from itr_core import Gallery, load_encoder


def main(path: Path, images: int = 1000) -> None:
    """Print the tables for the gallery PATH; probes are made of at most IMAGES of its images."""
    gallery = Gallery.open(path)
    print(gallery)
    truth = truth_of(gallery)
    captions = [caption for told in gallery.items["captions"] for caption in told]
    image_of_caption, vectors = gallery.image_of_caption, np.asarray(gallery.image_embeddings)
    for name, known in (("truth", truth), ("text", None)):
        if name == "text" or known:
            started = time.perf_counter()
            table = misses(vectors, np.asarray(gallery.text_embeddings), image_of_caption, captions, known)
            took = time.perf_counter() - started
            counts = table["direction"].value_counts().to_dict()
            print(f"\nShare of causes by {name}, in %, of {counts} misses ({took:.1f} s)")
            print((100 * shares(table)).round(1).to_string())
            print(confusion(table).groupby("concept", sort=False).head(3).to_string(index=False))

    started = time.perf_counter()
    probes, rows = gallery_probes(captions, image_of_caption, truth, most=images)
    table = probe_table(load_encoder(gallery.manifest.model), vectors, probes, rows)
    took = time.perf_counter() - started
    print(f"\nProbes {'with exact truth' if truth else 'by word lists'}: accuracy ({took:.1f} s)")
    print(probe_accuracy(table).round(3).to_string())


if __name__ == "__main__":
    typer.run(main)
