"""`pairscope build`, `pairscope update` and `pairscope search`."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from itr_core.errors import GalleryError, QueryError, SourceError
from itr_core.system.garbage import without_search
from ui.cli.index import make_indexes
from ui.cli.options import Device, Exact, Json, Model, RerankWeight, Runtime, Source
from ui.cli.output import print_json, print_table, print_warning, progress_bar, report_skipped
from ui.cli.source_options import MaxMegapixels, SourceOptions, with_source_options

if TYPE_CHECKING:
    from itr_core.gallery import Gallery
    from itr_core.gallery.ray_engine import RayEngine
    from itr_core.pairs import PairSet

GalleryModel = Annotated[
    str | None,
    typer.Option(help="The gallery's model, if it was built elsewhere or has another name now."),
]


@with_source_options
def build(
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder of the gallery. An existing gallery is replaced.")],
    model: Model = "starter:infonce",
    options: SourceOptions = SourceOptions(),
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Also store patch embeddings, for `search --rerank`.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a gallery that a newer version of Pairscope built.")
    ] = False,
    umap: Annotated[
        bool,
        typer.Option("--map/--no-map", help="Compute the maps now, not when they are first shown."),
    ] = True,
    engine: Annotated[
        Literal["ray"] | None,
        typer.Option(help="ray: encode on the machines of a Ray cluster. Default: in this process."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the cluster's head, for --engine ray. Default: RAY_ADDRESS, or a cluster of "
            "this machine alone."
        ),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE", help="Also make an index, faiss or milvus:URI, see `pairscope index --index`."
        ),
    ] = None,
    device: Device = None,
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Embed a source with a model and save it as a gallery. Repeat the command to resume a stopped build."""
    with without_search():
        from analysis.gallery_analysis import GalleryAnalysis
        from itr_core.gallery import Gallery
        from itr_core.retrieval.saved_index import milvus_of
        from itr_core.runtimes.encoder import open_runtime

    start = time.perf_counter()
    if index:
        milvus_of(index)  # a wrong one is refused now, not after the build
    pairs = options.open(source)
    cluster = _ray_engine(engine, ray_address, device, runtime)
    with without_search():
        encoder = open_runtime(model, runtime, "cpu" if cluster else device)
    with progress_bar("Building") as progress:
        gallery = Gallery.build(
            pairs, encoder, out, tokens=tokens, force=force, engine=cluster, progress=progress
        )
    if index:
        make_indexes(gallery, index)
    try:
        with progress_bar("Analysing") as progress:
            GalleryAnalysis(gallery).prepare(umap=umap, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{out} is ready to search. Missing measures are computed when they are first shown."
        ) from None
    manifest = gallery.manifest.model_dump(mode="json", exclude={"files"})
    if as_json:
        print_json(manifest | {"path": str(out), "seconds": round(time.perf_counter() - start, 2)})
        return
    rows = [(name, manifest[name]) for name in ("source", "model", "images", "captions", "dim")]
    print_table(str(out), ("", ""), rows)
    report_skipped(f"{name}: {reason}" for name, reason in gallery.manifest.skipped)


def _ray_engine(
    engine: str | None, address: str | None, device: str | None, runtime: str | None
) -> "RayEngine | None":
    if address and not engine:
        raise GalleryError(f"--ray-address {address} has an effect with --engine ray only; add this option.")
    if engine and runtime not in (None, "torch"):
        raise GalleryError(
            f"--runtime {runtime} has no effect on --engine ray, which needs torch; leave it out."
        )
    if not engine:
        return None
    from itr_core.gallery.ray_engine import RayEngine  # imports torch

    return RayEngine(address, device)


def update(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build`.")],
    source: Annotated[
        str | None,
        typer.Argument(help="Where the source is now. Default: where it was when the gallery was built."),
    ] = None,
    model: GalleryModel = None,
    device: Device = None,
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Bring a gallery up to date with its source: only new and changed images and captions are encoded.

    Ids, maps and verdicts of unchanged images stay. The source is read with the options of the build.
    """
    with without_search():
        from itr_core.gallery import Gallery
        from itr_core.gallery.changes import changes
        from itr_core.pairs import load_pairs

    start = time.perf_counter()
    before = Gallery.open(gallery)
    try:
        pairs = load_pairs(source or before.manifest.source, **before.manifest.options)
    except SourceError as error:
        remedy = "" if source else f" If it is elsewhere now: pairscope update {gallery} SOURCE"
        raise SourceError(f"{error}{remedy}") from error
    for note in pairs.notes:
        print_warning(note)
    found = changes(before, pairs)
    after, carried = before, list[str]()
    known_as = before.manifest.source, before.manifest.source_fingerprint
    if (pairs.source, pairs.fingerprint) != known_as:
        after, carried = _built_again(before, pairs, model, runtime, device)
        report_skipped(f"{name}: {reason}" for name, reason in after.manifest.skipped)
    _renew_index(before, after)
    counts = {"added": len(found.added), "changed": len(found.changed), "removed": len(found.removed)}
    counts["unchanged"] = found.unchanged
    if as_json:
        seconds = round(time.perf_counter() - start, 2)
        print_json(counts | {"path": str(gallery), "maps_kept": carried, "seconds": seconds})
    else:
        print_table(str(gallery), ("", "images"), list(counts.items()))


def _built_again(
    before: "Gallery", pairs: "PairSet", model: str | None, runtime: str | None, device: str | None
) -> "tuple[Gallery, list[str]]":
    """Return the gallery of changed pairs, and the kinds of the maps that it keeps."""
    with without_search():
        from analysis.before_update import BeforeUpdate
        from analysis.gallery_analysis import GalleryAnalysis
        from itr_core.gallery import Gallery
        from itr_core.gallery.named_models import model_to_load
        from itr_core.runtimes.encoder import open_runtime

        encoder = open_runtime(model_to_load(before.manifest, model), runtime, device)
    known = BeforeUpdate(GalleryAnalysis(before))
    tokens = before.manifest.has_tokens
    with progress_bar("Updating") as progress:
        after = Gallery.build(pairs, encoder, before.path, tokens=tokens, earlier=before, progress=progress)
    return after, list(known.carry(GalleryAnalysis(after)))


def _renew_index(before: "Gallery", after: "Gallery") -> None:
    """Make the index of an updated gallery, if it had one; also if an earlier update could not."""
    from itr_core.retrieval.index_records import earlier_indexes
    from itr_core.retrieval.saved_index import engine_of

    engine = engine_of(before)
    if engine and (after is not before or earlier_indexes(after)):
        try:
            make_indexes(after, engine)
        except GalleryError as error:
            raise GalleryError(
                f"{after.path} is up to date and is searched exactly, because its index could not be made: "
                f"{error}"
            ) from error


def search(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build`.")],
    query: Annotated[list[str], typer.Argument(help="Words, or one image file.")],
    kind: Annotated[
        bool | None,
        typer.Option(
            "--image/--text",
            help="The query is an image file, or words. Default: an image file if such a file exists and its "
            "name has a suffix or a folder, as in dog.jpg or ./dog.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of results, 1 to 100.")] = 10,
    of: Annotated[
        Literal["images", "captions"] | None,
        typer.Option(
            help="What to find. Default: images for words; captions for an image, or images if the gallery "
            "has no captions."
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="Find only images with this label. Repeat for images that have several."
        ),
    ] = None,
    caption_words: Annotated[
        str | None,
        typer.Option(
            "--words",
            metavar="RANGE",
            help="Find only captions of so many words: 3-8, 3- (3 or more), -8 (8 or fewer) or 5.",
        ),
    ] = None,
    model: GalleryModel = None,
    rerank: Annotated[
        bool,
        typer.Option(
            "--rerank", help="Re-rank the 100 best results by the similarity of words and image patches."
        ),
    ] = False,
    u1: RerankWeight = None,
    exact: Exact = False,
    max_megapixels: MaxMegapixels = None,
    device: Device = None,
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Search a gallery with words or with a picture."""
    with without_search():
        from itr_core.gallery import Gallery
        from itr_core.gallery.named_models import model_to_load
        from itr_core.pairs.file_options import FileOptions
        from itr_core.retrieval.filters import word_range
        from itr_core.retrieval.searcher import Searcher
        from itr_core.runtimes.encoder import open_runtime

    limits: dict[str, Any] = {
        "labels": labels or (),
        "words": None if caption_words is None else word_range(caption_words),
    }
    words, file = " ".join(query), _image_file(query, kind)
    picture = None if file is None else FileOptions.of(max_megapixels=max_megapixels).decode(file)
    opened = Gallery.open(gallery, thumbnails=False)
    with without_search():
        encoder = open_runtime(model_to_load(opened.manifest, model), runtime, device)
    searcher = Searcher(opened, encoder, u1=u1, exact=exact)
    start = time.perf_counter()
    if picture is not None:
        of = of or searcher.found_by_image
        hits, lost, unseen = searcher.search_image(picture, k, of, rerank=rerank, **limits), "", []
    else:
        of = of or "images"
        hits = searcher.search_text(words, k, of, rerank=rerank, **limits)
        kept, lost = searcher.encoder.split_at_context(words)
        unseen = searcher.encoder.unseen_words(kept)
    seconds = time.perf_counter() - start
    if as_json:
        found = {"query": words, "of": of, "cut": lost, "unseen_words": unseen, "seconds": round(seconds, 4)}
        found["approximate"] = searcher.approximate(of)
        print_json(found | {"hits": [asdict(hit) for hit in hits]})
        return
    rows = [(hit.rank, f"{hit.score:.3f}", hit.caption, hit.item_id) for hit in hits]
    print_table(f"{of.capitalize()} for {words!r}", ("", "score", "caption", "image"), rows)
    if lost:
        print_warning(f"The query is too long for the model; ignored: {lost!r}")
    if unseen:
        print_warning(f"Not in the model's training captions: {', '.join(unseen)}")


def _image_file(query: Sequence[str], is_image: bool | None) -> Path | None:
    """Return the image file that a query names, or None if the query is words.

    Args:
        query: the words of the command line.
        is_image: the choice of the user; None decides by the file and by its name.

    Raises:
        QueryError: the file is missing.
    """
    from itr_core.pairs.kinds import SUFFIXES

    if is_image is False or (len(query) > 1 and not is_image):
        return None
    file = Path(os.path.expanduser(" ".join(query)))
    try:
        exists = file.is_file()
    except (OSError, ValueError):  # not a valid path (too long, or with a null byte)
        exists = False
    if not exists and (is_image or file.suffix.lower() in SUFFIXES):
        raise QueryError(f"{file}: no such file. To search with these words, add --text.")
    if exists and is_image is None and not file.suffix and file.name == query[0]:
        print_warning(f"Searching with the word {query[0]!r}. To search with the file {file}, add --image.")
        return None
    return file if exists else None
