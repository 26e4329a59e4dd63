"""`picturebook[:split[@size]]` as a source of pairs; images are rendered when they are read."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from itr_core.errors import SourceError
from itr_core.pairs.pairset import PairSet
from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.ontology import TRIPLES
from itr_core.picturebook.relevance import Rows, SceneRelevance
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.splits import scene_of, split_named
from itr_core.picturebook.typed_queries import QUERIES_PER_SCENE, typed_queries
from itr_core.system.files import cache_dir, whole_file

if TYPE_CHECKING:
    from pyarrow import Table

WORLD_VERSION = "2026.1"
"""Version of the pictures and captions. A change that draws a scene or words a caption differently needs a
new version: it is what galleries, caches and resumed runs know the world by (see `_WORLD_IDS`)."""
_WORLD_IDS = {"2026.1": "b46d0b0fdcd18785"}
"""The identifier of each version in image values and so in fingerprints; never change that of an old one."""


def load(rest: str, *, limit: int | None = None) -> PairSet:
    """Load `[split[+queries][@size]]` with split train (default), val, test, gallery or test_unseen.

    Without a size, train has 20,000 scenes, gallery 2,000 and the others 1,000; `train@200000` has another
    size. Labels are the kinds of things in the image, and `relevance` is exact. With `+queries`, every image
    also has typed queries as captions, and captions that are known to be false of it (`typed_queries`).
    Captions are cached on disk; generating them takes about a millisecond per scene, and ten with queries.

    Raises:
        SourceError: an unknown split, or a size that is no positive number.
    """
    split, at, size = rest.partition("@")
    split = split or "train"
    if at and not (size.isdecimal() and int(size)):
        raise SourceError(f"picturebook:{rest}: the number of scenes follows @, as in {split}@5000.")
    name, plus, extra = split.partition("+")
    if plus and extra != "queries":
        raise SourceError(
            f"picturebook:{rest}: only +queries can follow the split, as in train+queries@5000."
        )
    count = min(int(size or split_named(name).size), limit or 10**9)
    from datasets import Dataset

    return PairSet(
        Dataset(_table(split, count)),
        source=f"picturebook:{rest}" if rest else "picturebook",
        decode=draw_row,
        relevance=_SplitTruth(split, count),
        triples=TRIPLES,
    )


def draw_row(row: str) -> Image.Image:
    """Render the image of one value of the image column."""
    return draw(scene_of_id(row.partition(" ")[0]))


def scene_of_id(image_id: str) -> Scene:
    """Return the scene of an image id ("test-000017.png").

    Raises:
        SourceError: the id is not of Picturebook.
    """
    split, _, index = image_id.removesuffix(".png").rpartition("-")
    if not index.isdecimal():
        raise SourceError(f"{image_id!r} is no image id of Picturebook; an example is 'test-000017.png'.")
    return scene_of(split, int(index))


class _SplitTruth:
    """The relevance of a split; its scenes are generated on first use."""

    def __init__(self, split: str, count: int) -> None:
        self.split, self.count = split, count

    @cached_property
    def _truth(self) -> SceneRelevance:
        name, _, queries = self.split.partition("+")
        scenes = [scene_of(name, index) for index in range(self.count)]
        captions = [caption for scene in scenes for caption in _captions(scene, bool(queries))[0]]
        return SceneRelevance(scenes, [caption.meaning for caption in captions])

    def matrix(self, images: Rows = slice(None)) -> np.ndarray:
        """See `Relevance.matrix`."""
        return self._truth.matrix(images)

    def grade(self, images: Rows = slice(None)) -> np.ndarray:
        """See `Relevance.grade`."""
        return self._truth.grade(images)


def _table(split: str, count: int) -> "Table":
    from pyarrow import field, list_, parquet, schema, string

    path = cache_dir("picturebook") / f"{split}-{count}-{WORLD_VERSION}.parquet"
    if not path.exists():
        texts = list_(string())
        columns = schema({"image": string(), "captions": texts, "image_id": string(), "labels": texts})
        if "+" in split:
            columns = columns.append(field("false_captions", list_(texts)))
        with whole_file(path) as part, parquet.ParquetWriter(part, columns) as writer:
            for rows in _rows(split, count):
                writer.write_table(columns.empty_table().from_pylist(rows, columns))
    return parquet.read_table(path)


def _rows(split: str, count: int, chunk: int = 10_000) -> Iterator[list[dict[str, Any]]]:
    world, (name, _, queries) = _WORLD_IDS[WORLD_VERSION], split.partition("+")
    for start in range(0, count, chunk):
        rows = []
        for index in range(start, min(start + chunk, count)):
            scene, image_id = scene_of(name, index), f"{name}-{index:06d}.png"
            captions, false = _captions(scene, bool(queries))
            row: dict[str, Any] = {
                "image": f"{image_id} {world}",
                "captions": [caption.text for caption in captions],
                "image_id": image_id,
                "labels": sorted({thing.kind for thing in scene.things}),
            }
            if queries:
                row["false_captions"] = [[caption.text for caption in each] for each in false]
            rows.append(row)
        yield rows


def _captions(scene: Scene, queries: bool) -> tuple[list[Caption], list[Sequence[Caption]]]:
    """Return the captions of a scene, with typed queries if `queries`, and the false variants of each."""
    captions = captions_of(scene)
    false: list[Sequence[Caption]] = [()] * len(captions)
    if queries:
        rng = np.random.default_rng([scene.seed, 6])
        for each in typed_queries(SceneFacts(scene), rng, QUERIES_PER_SCENE):
            captions.append(each.query)
            false.append(each.false)
    return captions, false
