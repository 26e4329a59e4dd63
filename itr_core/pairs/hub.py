"""Data sets of the Hugging Face hub: `hub:ORG/NAME[/CONFIG][@REVISION][:split]`.

This is the only source that uses the network. A local folder in the layout of the hub is read in the same
way: `hub:./FOLDER:split`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from itr_core.errors import DISK_FULL, SourceError, reason_of
from itr_core.pairs.columns import Columns
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_table import pairs_of_table
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.splits import rows_of_split, separate_split, unknown_split
from itr_core.pairs.streamed_table import read_texts

if TYPE_CHECKING:
    from datasets import Dataset, Features


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    image_root: str | Path | None = None,
    stream: bool = False,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read the files of one split, and no others, as a table.

    If a data set has Karpathy's splits in a column `split` (nlphuji/flickr30k and its copies), `:test`
    selects the rows with this value, even if the hub calls the whole file `test`.

    Args:
        rest: name of the data set, with a split.
        columns: roles of columns, see `load_pairs`.
        image_root: folder of images, see `load_pairs`.
        stream: do not download the files; see `load_pairs`.
        limit: maximum number of images.
        options: which images are read.

    Raises:
        SourceError: the data set cannot be loaded, or it has no such split.
    """
    source = f"hub:{rest}"
    name, split = separate_split(rest)
    streamed = None
    try:
        found = _find(name, split, source)
        if stream:
            table, streamed = read_texts(
                found.files, found.features, source=source, columns=columns or {}, split=split, limit=limit
            )
        else:
            table = found.download()
    except SourceError:
        raise
    except Exception as error:  # of datasets, huggingface_hub, fsspec, httpx
        raise SourceError(f"{source}: {_explain(error)}") from error
    if split is not None and split != found.part and "split" not in table.column_names:
        raise unknown_split(source, split, [found.part])
    rows = None
    if split and "split" in table.column_names:
        splits = table["split"][:]
        if split in splits or split != found.part:
            rows = rows_of_split(splits, split, source)
    search = _search(name, image_root, options)
    return pairs_of_table(
        table, source=source, columns=columns, rows=rows, search=search, limit=limit, streamed=streamed
    )


def _search(name: str, image_root: str | Path | None, options: FileOptions) -> ImageSearch:
    """Return the search for images in the data set's folder, or in what `datasets` downloaded."""
    from datasets import config
    from huggingface_hub.constants import HF_HUB_CACHE

    named = [Path(image_root)] if image_root is not None else []
    folders = [*named, Path(name)] if Path(name).exists() else [*named, Path(HF_HUB_CACHE)]
    cached = [Path(HF_HUB_CACHE), Path(config.HF_DATASETS_CACHE), Path(config.DOWNLOADED_DATASETS_PATH)]
    return ImageSearch(folders, [*folders, *cached], options)


class _Found(NamedTuple):
    """The files of one split, which the hub calls `part`, as paths or as addresses with a commit."""

    where: dict[str, Any]
    part: str
    files: list[str]
    features: "Features | None"

    def download(self) -> "Dataset":
        from datasets import load_dataset

        # Without data_files, every split would be downloaded; with them, the checks miss the other splits.
        data_files = {self.part: self.files}
        return load_dataset(
            **self.where, data_files=data_files, split=self.part, verification_mode="no_checks"
        )


def _find(name: str, split: str | None, source: str) -> _Found:
    from datasets import load_dataset_builder

    config = revision = ""
    if not Path(name).exists():
        name, _, revision = name.partition("@")
        parts = name.split("/")
        name, config = "/".join(parts[:2]), "/".join(parts[2:])
    where = {"path": name, "name": config or None, "revision": revision or None}
    builder = load_dataset_builder(**where)
    files = {str(split_name): list(urls) for split_name, urls in builder.config.data_files.items()}
    if len(files) > 1 and split not in files:
        if split is not None:
            raise unknown_split(source, split, list(files))
        choices = ", ".join(f"{source}:{part}" for part in files)
        raise SourceError(f"{source}: the split is missing. Choose one of {choices}.")
    part = split if split and split in files else next(iter(files))
    return _Found(where, part, files[part], builder.info.features)


def _explain(error: Exception) -> str:
    from datasets.exceptions import DatasetNotFoundError

    reason = reason_of(error.__cause__ or error)
    if "scripts are no longer supported" in reason:
        return (
            "this data set is a loading script, which `datasets` no longer runs. Add @refs/convert/parquet "
            "to its name to read the parquet copy of the hub, choose a data set that is stored as parquet "
            "(such as hub:lmms-lab/flickr30k), or read local files with karpathy:FILE.json."
        )
    if isinstance(error, DatasetNotFoundError):
        return f"{reason} Check the name; for a private or gated set, log in with `hf auth login`."
    if isinstance(error, ConnectionError):
        return f"{reason}. Check the network, and that HF_HUB_OFFLINE is not set, and repeat the command."
    if getattr(error, "errno", None) in DISK_FULL or "disk space" in reason:
        return f"{reason}. Free disk space, or read the data set without downloading it (--stream)."
    return f"cannot be loaded ({type(error).__name__}: {reason})."
