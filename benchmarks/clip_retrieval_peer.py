"""Serve a gallery with the back end of clip-retrieval, for comparison: the same model and embeddings.

    PYTHONPATH=PEER:. python benchmarks/clip_retrieval_peer.py GALLERY --port 1234

PEER has clip-retrieval without the old versions that it requires, which its back end does not need:

    pip install --no-deps --target PEER clip-retrieval all-clip aniso8601 braceexpand clip fire flask \
        flask-cors flask-restful h5py prometheus-client pytz wandb

`http_search.py --peer PEER` runs this program.
"""

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import faiss
import numpy as np
import pandas as pd
import typer

from itr_core import Gallery, load_encoder

INDEX = "gallery"
"""Name of the gallery in requests."""


def main(
    gallery: Annotated[Path, typer.Argument(help="Folder of the gallery.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 1234,
) -> None:
    """Serve a gallery with the back end of clip-retrieval."""
    opened = Gallery.open(gallery, thumbnails=False)
    encoder = load_encoder(opened.manifest.model, device="cpu")
    encoder.model.eval()

    def load_clip(*_: Any, **__: Any) -> tuple[Any, Any, Any]:
        """Return the model, as all_clip's function of this name does."""
        return encoder.model, None, encoder.tokenizer

    stands_for = {
        "all_clip": SimpleNamespace(load_clip=load_clip),
        "clip_retrieval.clip_front": SimpleNamespace(  # no pages
            clip_front=None, add_static_endpoints=lambda *_: None
        ),
    }
    sys.modules.update(stands_for)  # type: ignore[arg-type]  # what the back end needs of these modules
    clip_back = import_module("clip_retrieval.clip_back").clip_back

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        embeddings = np.ascontiguousarray(opened.image_embeddings, dtype=np.float32)
        index = faiss.IndexFlatIP(embeddings.shape[1])
        index.add(embeddings)
        faiss.write_index(index, str(folder / "image.index"))
        (folder / "metadata").mkdir()
        captions = [captions[0] for captions in opened.column("captions")]
        pd.DataFrame({"caption": captions}).to_parquet(folder / "metadata" / "metadata.parquet")
        (folder / "indices.json").write_text(json.dumps({INDEX: scratch}), encoding="utf-8")
        clip_back(
            str(folder / "indices.json"),
            port=port,
            columns_to_return=["caption"],
            enable_mclip_option=False,
            provide_aesthetic_embeddings=False,
        )


if __name__ == "__main__":
    typer.run(main)
