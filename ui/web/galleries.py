"""The galleries that visitors can search and analyse, loaded in the background when the app starts."""

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# Plotly and scikit-learn import it when they are first used: in two threads at once, this is a deadlock.
import narwhals.stable.v1  # noqa: F401 - see above

from analysis.confidence import Confidence
from analysis.gallery_analysis import GalleryAnalysis
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import PairscopeError, QueryError, did_you_mean
from itr_core.gallery import Gallery, is_gallery
from itr_core.gallery.named_models import model_to_load
from itr_core.gallery.names import unique_names
from itr_core.pairs import check_spec, load_pairs
from itr_core.retrieval.searcher import Searcher
from itr_core.system.files import cache_dir
from ui.web.boundary.served import serve_gallery

log = logging.getLogger(__name__)

POLL_SECONDS = 0.7


@dataclass
class _Slot:
    """The state of one gallery: `ready` is set once `searcher` and `analysis`, or an error, are there."""

    ready: threading.Event = field(default_factory=threading.Event)
    searcher: Searcher | None = None
    analysis: GalleryAnalysis | None = None
    confidence: Confidence | None = None
    error: PairscopeError | None = None
    done: int = 0
    total: int = 0


class Galleries:
    """Galleries by name. One background thread loads them in order, so that the pages open at once.

    Args:
        specs: Folders made by `pairscope build`, or sources, which are built into the cache first.
        model: Model spec for sources. It also replaces the model spec in a gallery's manifest; the weights
            must be the same. Default: `starter:infonce`, and the spec in the manifest.

    Raises:
        SourceError: A spec names no kind of source and no file or folder.
    """

    def __init__(self, specs: Sequence[str], model: str | None) -> None:
        self._model = model
        specs = [os.path.expanduser(spec) for spec in specs]
        for spec in specs:
            if not Path(spec).exists():
                check_spec(spec)
        self._specs = dict(zip(unique_names(map(_name, specs)), specs, strict=True))
        self._slots = {name: _Slot() for name in self._specs}
        self._encoders: dict[str, DualEncoder] = {}
        threading.Thread(target=self._load_all, name="galleries", daemon=True).start()

    @property
    def names(self) -> list[str]:
        """The names of all galleries, in the order of `specs`."""
        return list(self._slots)

    def progress(self, name: str) -> tuple[int, int] | None:
        """Return (done, total) in images while the gallery loads; None once it has loaded or failed."""
        slot = self._slot(name)
        return None if slot.ready.is_set() else (slot.done, slot.total)

    def await_ready(self, names: Sequence[str]) -> Iterator[tuple[str, int, int]]:
        """Yield (name, done, total) of each gallery that still loads, until all have loaded or failed."""
        for name in names:
            while (progress := self.progress(name)) is not None:
                yield name, *progress
                time.sleep(POLL_SECONDS)

    def searcher(self, name: str, timeout: float | None = None) -> Searcher:
        """Return the gallery's searcher.

        Args:
            name: Name of the gallery.
            timeout: Seconds to wait until it has loaded; None waits without limit.

        Raises:
            QueryError: The name is unknown, or the gallery has not loaded in time.
            PairscopeError: The gallery could not be loaded; the error that caused this.
        """
        slot = self._slot(name)
        if not slot.ready.wait(timeout):
            raise QueryError(
                f"The gallery {name!r} is still being built ({slot.done:,} of {slot.total or '?'} pictures)."
            )
        if slot.searcher is None:
            raise slot.error or QueryError(_cannot_open(name))
        return slot.searcher

    def analysis(self, name: str) -> GalleryAnalysis:
        """Return the gallery's analysis, without waiting; raises as `searcher`."""
        self.searcher(name, timeout=0)
        analysis = self._slots[name].analysis
        assert analysis is not None
        return analysis

    def analyses(self, names: Sequence[str]) -> tuple[dict[str, GalleryAnalysis], list[str]]:
        """Return the analyses of those galleries that have loaded, by name, and why the others have none.

        Raises:
            QueryError: None has loaded.
        """
        found, problems = {}, []
        for name in names:
            try:
                found[name] = self.analysis(name)
            except PairscopeError as error:
                problems.append(f"{name}: {error}")
        if not found:
            raise QueryError(" ".join(problems))
        return found, problems

    def paired(self, names: Sequence[str]) -> tuple[dict[str, GalleryAnalysis], list[str]]:
        """Return `analyses` without the galleries that cannot measure retrieval, and why they cannot.

        Raises:
            QueryError: None can.
        """
        found, problems = self.analyses(names)
        problems += [f"{name}: {one.unpaired}" for name, one in found.items() if one.unpaired]
        paired = {name: one for name, one in found.items() if not one.unpaired}
        if not paired:
            raise QueryError(" ".join(problems))
        return paired, problems

    def first_paired(self, names: Sequence[str]) -> str:
        """Return the first of the galleries that can measure retrieval, or the first one if none can.

        Tabs that show one gallery show this one, so that one without captions does not empty them.
        """
        for name in names:
            with suppress(PairscopeError):
                if not self.analysis(name).unpaired:
                    return name
        return names[0]

    def confidence(self, name: str) -> Confidence | None:
        """Return the gallery's tests for queries without a match; None if they are not computed yet."""
        return self._slot(name).confidence

    def _slot(self, name: str) -> _Slot:
        if name not in self._slots:
            raise QueryError(f"No gallery is called {name!r}.{did_you_mean(name, self._slots)}")
        return self._slots[name]

    def _load_all(self) -> None:
        for name, slot in self._slots.items():
            try:
                searcher = self._load(self._specs[name], slot)
                serve_gallery(name, searcher.gallery)
                slot.analysis = GalleryAnalysis(searcher.gallery)
                slot.searcher = searcher
            except PairscopeError as error:
                log.error("%s: %s", name, error)
                error.add_note(_cannot_open(name))  # for visitors; the text names folders of the server
                slot.error = error
            except Exception:
                log.exception("The gallery %r could not be opened.", name)
            finally:
                slot.ready.set()
        for slot in self._slots.values():  # last: searching works without it
            if slot.analysis is not None:
                slot.confidence = slot.analysis.confidence()

    def _load(self, spec: str, slot: _Slot) -> Searcher:
        if is_gallery(Path(spec)):
            gallery = Gallery.open(spec)
            return Searcher(gallery, self._encoder(model_to_load(gallery.manifest, self._model)))
        encoder = self._encoder(self._model or "starter:infonce")
        pairs = load_pairs(spec)
        for note in pairs.notes:
            log.warning("%s: %s", _name(spec), note)
        folder = cache_dir("galleries") / f"{_name(spec)}-{pairs.fingerprint[:12]}-{encoder.fingerprint[:12]}"
        if folder.exists():
            try:
                return Searcher(Gallery.open(folder), encoder)
            except PairscopeError as error:  # a damaged cache can be rebuilt
                log.warning("Rebuilding the cached gallery: %s", error)
        log.info("Building the gallery %s.", folder)
        slot.total = len(pairs)

        def report(done: int, total: int) -> None:
            slot.done, slot.total = done, total

        gallery = Gallery.build(pairs, encoder, folder, progress=report)
        if skipped := gallery.manifest.skipped:
            first = f"{skipped[0].name}: {skipped[0].reason}"
            log.warning(
                "%s: %d images or lines are skipped, the first is %s", _name(spec), len(skipped), first
            )
        return Searcher(gallery, encoder)

    def _encoder(self, spec: str) -> DualEncoder:
        if spec not in self._encoders:
            self._encoders[spec] = load_encoder(spec).fuse()
        return self._encoders[spec]


def _cannot_open(name: str) -> str:
    return f"The gallery {name!r} could not be opened. The server's log has the details."


def _name(spec: str) -> str:
    """Return the name that visitors see: 'photos' for photos/ and folder:my/photos, else 'picturebook'."""
    if Path(spec).exists():
        return Path(spec).resolve().stem
    scheme, _, rest = spec.partition(":")
    return scheme if scheme == "picturebook" else Path(rest).resolve().stem
