"""`picturebook[:split[@size]]` as a source of pairs; images are rendered when they are read."""

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

import assets
from itr_core.errors import SourceError
from itr_core.pairs.pairset import PairSet
from itr_core.picturebook import meaning_code, scene_code
from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.ontology import TRIPLES
from itr_core.picturebook.relevance import Rows, SceneRelevance
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.splits import scene_of, split_named
from itr_core.picturebook.twins import twin_of
from itr_core.picturebook.typed_queries import QUERIES_PER_SCENE, typed_queries
from itr_core.system.files import cache_dir, whole_file

if TYPE_CHECKING:
    from pyarrow import Array, Table

WORLD_VERSION = "2026.1"
"""Version of the pictures and captions. A change that draws a scene or words a caption differently needs a
new version: it is what galleries, caches and resumed runs know the world by (see `_WORLD_IDS`)."""
_WORLD_IDS = {"2026.1": "b46d0b0fdcd18785"}
"""The identifier of each version in image values and so in fingerprints; never change that of an old one."""

_LAYOUT = 2
"""Version of the columns of the tables."""
TABLES = Path(assets.__file__).parent / "picturebook"
"""Tables that are shipped, so that they need not be made on first use."""

_TWIN = "train-twin"
"""What takes the place of the split in the image id of a twin."""


def load(rest: str, *, limit: int | None = None) -> PairSet:
    """Load `[split[+queries][@size]]` or `train+twins[@size]`.

    The splits are train (default; 20,000 scenes without a size), gallery (2,000), val, test and test_unseen
    (1,000 each); `train@200000` has another size. Labels are the kinds of things in the image, and
    `relevance` is exact. With `+queries`, every image also has typed queries as captions, and captions that
    are known to be false of it (`typed_queries`). With `+twins`, too, and each scene is followed by its twin
    (`twin_of`); half of the queries of one are false of the other. Captions are cached on disk; generating
    them takes about a millisecond per image, and ten with queries. Those of the gallery split are shipped.

    Raises:
        SourceError: an unknown split, or a size that is no positive number.
    """
    split, at, size = rest.partition("@")
    split = split or "train"
    if at and not (size.isdecimal() and int(size)):
        raise SourceError(f"picturebook:{rest}: the number of scenes follows @, as in {split}@5000.")
    name, plus, extra = split.partition("+")
    if plus and extra not in ("queries", "twins"):
        raise SourceError(
            f"picturebook:{rest}: only +queries or +twins can follow the split, as in train+queries@5000."
        )
    if extra == "twins" and name != "train":
        raise SourceError(
            f"picturebook:{rest}: only train has twins. A changed scene of a small split is in another split."
        )
    images = int(size or split_named(name).size) * (2 if extra == "twins" else 1)
    count = min(images, limit or images)
    from datasets import Dataset

    columns = ["image", "captions", "image_id", "labels", *(["false_captions"] if extra else [])]
    return PairSet(
        Dataset(_table(split, count, *columns)),
        source=f"picturebook:{rest}" if rest else "picturebook",
        decode=draw_row,
        relevance=_SplitTruth(split, count),
        triples=TRIPLES,
    )


def draw_row(row: str) -> Image.Image:
    """Render the image of one value of the image column."""
    return draw(scene_of_id(row.partition(" ")[0]))


def scene_of_id(image_id: str) -> Scene:
    """Return the scene of an image id ("test-000017.png", "train-twin-000017.png").

    Raises:
        SourceError: the id is not of Picturebook.
    """
    split, _, index = image_id.removesuffix(".png").rpartition("-")
    if not index.isdecimal():
        raise SourceError(f"{image_id!r} is no image id of Picturebook; an example is 'test-000017.png'.")
    return twin_of(int(index)) if split == _TWIN else scene_of(split, int(index))


def scenes_of_ids(image_ids: Sequence[str]) -> list[Scene]:
    """Return the scenes of image ids as `scene_of_id`; those of a shipped table are read, which is faster."""
    codes = _shipped_codes()
    return [scene_code.decode(codes[each]) if each in codes else scene_of_id(each) for each in image_ids]


class _SplitTruth:
    """The relevance of a split; scenes and meanings are read on first use."""

    def __init__(self, split: str, count: int) -> None:
        self.split, self.count = split, count

    @cached_property
    def _scenes(self) -> list[Scene]:
        return [scene_code.decode(text) for text in _table(self.split, self.count, "scene")[0].to_pylist()]

    @cached_property
    def _meanings(self) -> tuple["Array", int]:
        """Texts of the meanings of all captions, then of all false captions, and the number of captions."""
        from pyarrow import compute, concat_arrays

        columns = _table(self.split, self.count, "meanings", "false_meanings").columns
        texts = [compute.list_flatten(each, recursive=True).combine_chunks() for each in columns]
        return concat_arrays(texts), len(texts[0])

    @cached_property
    def _truth(self) -> SceneRelevance:
        texts, captions = self._meanings
        return SceneRelevance(
            self._scenes, [meaning_code.decode(text) for text in texts[:captions].to_pylist()]
        )

    def matrix(self, images: Rows = slice(None), captions: np.ndarray | None = None) -> np.ndarray:
        """See `Relevance.matrix`."""
        if captions is None:
            return self._truth.matrix(images)
        scenes = [self._scenes[row] for row in np.arange(self.count)[images]]
        texts = self._meanings[0].take(captions).to_pylist()
        return SceneRelevance(scenes, [meaning_code.decode(text) for text in texts]).matrix()

    def grade(self, images: Rows = slice(None)) -> np.ndarray:
        """See `Relevance.grade`."""
        return self._truth.grade(images)


def _table(split: str, count: int, *columns: str) -> "Table":
    """Return columns of the table of a split: of the one that is shipped, or else of the one in the cache."""
    from pyarrow import parquet

    name = table_name(split, count)
    path = TABLES / name
    if not path.exists():
        path = cache_dir("picturebook") / name
    if not path.exists():
        write_table(split, count, path)
    return parquet.read_table(path, columns=list(columns))


@cache
def _shipped_codes() -> dict[str, str]:
    """Return the codes of the scenes of all shipped tables by image id."""
    from pyarrow import parquet

    codes: dict[str, str] = {}
    for path in TABLES.glob(f"*-{WORLD_VERSION}-{_LAYOUT}.parquet"):
        table = parquet.read_table(path, columns=["image_id", "scene"])
        codes |= dict(zip(table["image_id"].to_pylist(), table["scene"].to_pylist(), strict=True))
    return codes


def table_name(split: str, count: int) -> str:
    """Return the file name of the table of a split, which has the versions of its content and its columns."""
    return f"{split}-{count}-{WORLD_VERSION}-{_LAYOUT}.parquet"


def write_table(split: str, count: int, path: Path) -> None:
    """Write the table of a split: one row per image, with its scene, its captions and their meanings."""
    from pyarrow import list_, parquet, schema, string

    texts = list_(string())
    types = dict.fromkeys(("image", "image_id", "scene"), string())
    types |= dict.fromkeys(("captions", "labels", "meanings"), texts)
    types |= dict.fromkeys(("false_captions", "false_meanings"), list_(texts))
    layout = schema(types)
    with whole_file(path) as part, parquet.ParquetWriter(part, layout) as writer:
        for rows in _rows(split, count):
            writer.write_table(layout.empty_table().from_pylist(rows, layout))


def _rows(split: str, count: int, chunk: int = 10_000) -> Iterator[list[dict[str, Any]]]:
    world = _WORLD_IDS[WORLD_VERSION]
    for start in range(0, count, chunk):
        rows = []
        for index in range(start, min(start + chunk, count)):
            image = _image(split, index)
            captions, false = image.captions()
            row = {
                "image": f"{image.id} {world}",
                "captions": [caption.text for caption in captions],
                "image_id": image.id,
                "labels": sorted({thing.kind for thing in image.scene.things}),
                "false_captions": [[caption.text for caption in each] for each in false],
                "scene": scene_code.encode(image.scene),
                "meanings": [meaning_code.encode(caption.meaning) for caption in captions],
                "false_meanings": [
                    [meaning_code.encode(caption.meaning) for caption in each] for each in false
                ],
            }
            rows.append(row)
        yield rows


class _Image(NamedTuple):
    """One image of a source."""

    id: str
    scene: Scene
    queries: bool
    twin: Scene | None

    def captions(self) -> tuple[list[Caption], list[Sequence[Caption]]]:
        """Return the captions and typed queries of the image, and the false variants of each."""
        captions = captions_of(self.scene)
        false: list[Sequence[Caption]] = [()] * len(captions)
        if self.queries:
            rng = np.random.default_rng([self.scene.seed, 6])
            twin = SceneFacts(self.twin) if self.twin else None
            for each in typed_queries(SceneFacts(self.scene), rng, QUERIES_PER_SCENE, twin):
                captions.append(each.query)
                false.append(each.false)
        return captions, false


def _image(split: str, row: int) -> _Image:
    """Return the image of one row of a split such as "train", "train+queries" or "train+twins"."""
    name, _, extra = split.partition("+")
    if extra != "twins":
        return _Image(f"{name}-{row:06d}.png", scene_of(name, row), bool(extra), None)
    index, second = divmod(row, 2)
    scene, twin = scene_of(name, index), twin_of(index)
    if second:
        return _Image(f"{_TWIN}-{index:06d}.png", twin, True, scene)
    return _Image(f"{name}-{index:06d}.png", scene, True, twin)
