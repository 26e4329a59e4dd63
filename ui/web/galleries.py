"""The galleries that visitors can search and analyse, loaded in the background.

A gallery is a set of pictures embedded by one model. The first model of each set is loaded when the app
starts, the others when somebody first asks for them.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from queue import SimpleQueue

# Plotly and scikit-learn import it when they are first used: in two threads at once, this is a deadlock.
import narwhals.stable.v1  # noqa: F401 - see above

from analysis.confidence import Confidence
from analysis.gallery_analysis import GalleryAnalysis
from analysis.judged_truth import ExpertTruth
from itr_core.encoders import Encoder
from itr_core.errors import PairscopeError, QueryError, did_you_mean
from itr_core.evaluation.human_judgments import ExpertGrade
from itr_core.gallery import Gallery, is_gallery
from itr_core.gallery.manifest import NAME as MANIFEST
from itr_core.gallery.named_models import model_to_load
from itr_core.pairs import load_pairs
from itr_core.retrieval.searcher import Searcher
from itr_core.runtimes.encoder import open_runtime
from ui.web.boundary.served import serve_gallery
from ui.web.cached_galleries import cached_gallery
from ui.web.own.visitors import OWN, own_of_event
from ui.web.picture_sets import DEFAULT_MODEL, Choice, choices, model_name, set_name

log = logging.getLogger(__name__)

POLL_SECONDS = 0.7
LOOK_SECONDS = 2
"""How often the folder of a gallery that is used is looked at: `pairscope update` may have replaced it."""


@dataclass
class _Slot:
    """The state of one gallery: `ready` is set once `searcher` and `analysis`, or an error, are there."""

    choice: Choice
    requested: bool = False
    ready: threading.Event = field(default_factory=threading.Event)
    searcher: Searcher | None = None
    analysis: GalleryAnalysis | None = None
    confidence: Confidence | None = None
    error: PairscopeError | None = None
    done: int = 0
    total: int = 0
    looked: float = 0.0
    """When the folder was last looked at, by the monotonic clock."""
    manifest: tuple[int, int] | None = None
    """What `_manifest_of` returned when the folder was opened."""


class Galleries:
    """Galleries by name. One background thread loads them in the order of the requests.

    A gallery folder that is built again or updated is opened again, while the old one stays in use. An index
    that `pairscope index` or `update` makes is used from then on.

    Args:
        specs: Folders made by `pairscope build`, or sources, which are built into the cache first.
        model: Model spec for sources, or several, of which the first is loaded when the app starts. It also
            replaces the model spec in a gallery's manifest; the weights must be the same. Default: the spec
            in the manifest, `starter:infonce`, and for Picturebook the other starters as well.
        experts: Expert judgments, see `analysis.judged_truth.judged_truth`.
        runtime: What runs the models: 'torch' (also None), or 'onnx' or 'openvino' for their exports.
        exact: Use no index that `pairscope index` made, see `Searcher`.
        thumbnails: Where the thumbnails of a gallery folder are, if they were moved; see `Gallery.open`.

    Raises:
        SourceError: A spec names no kind of source and no file or folder.
    """

    def __init__(
        self,
        specs: Sequence[str],
        model: str | Sequence[str] | None,
        experts: Sequence[ExpertGrade] = (),
        runtime: str | None = None,
        *,
        exact: bool = False,
        thumbnails: Mapping[str, str] = {},
    ) -> None:
        models = [model] if isinstance(model, str) else list(model or ())
        self._slots = {name: _Slot(choice) for name, choice in choices(specs, models).items()}
        self._experts = experts
        self._runtime = runtime
        self._exact = exact
        self._thumbnails = thumbnails
        self._encoders: dict[str, Encoder] = {}
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._requests = threading.Lock()
        for name in self.names:
            self._request(name, calibrate=False)
        for name in self.names:  # last: searching works without it
            self._tasks.put(partial(self._calibrate, self._slots[name]))
        threading.Thread(target=self._work, name="galleries", daemon=True).start()

    def check_experts(self, file: Path) -> None:
        """Log a warning once the galleries are open if the judgments of a file are of none of them."""
        self._tasks.put(partial(self._check_experts, file))

    @property
    def sets(self) -> list[str]:
        """The names of the sets of pictures, in the order of `specs`."""
        return list(dict.fromkeys(slot.choice.set for slot in self._slots.values()))

    @property
    def names(self) -> list[str]:
        """The names of the galleries that are loaded when the app starts: each set with its first model."""
        return [self.key(each) for each in self.sets]

    @property
    def all_names(self) -> list[str]:
        """The names of all galleries; those that are not in `names` are loaded when they are first used."""
        return list(self._slots)

    def models(self, of: str) -> list[str]:
        """Return the names of the models that a set can be opened with, the first one first."""
        return [slot.choice.model for slot in self._slots.values() if slot.choice.set == of]

    def key(self, of: str, model: str = "") -> str:
        """Return the name of the gallery of a set and a model; without a model, of the set's first one.

        Raises:
            QueryError: There is no such set, or the set has no such model.
        """
        own = {slot.choice.model: name for name, slot in self._slots.items() if slot.choice.set == of}
        if not own:
            raise QueryError(f"No set of pictures is called {of!r}.{did_you_mean(of, self.sets)}")
        if model and model not in own:
            raise QueryError(f"{of} has no model {model!r}.{did_you_mean(model, own)}")
        return own[model] if model else next(iter(own.values()))

    def choice(self, name: str) -> Choice:
        """Return the set and the model of a gallery, which is not loaded by this."""
        return self._known(name).choice

    def loaded(self, name: str) -> bool:
        """Return whether a gallery has loaded; it is not loaded by this."""
        return self._known(name).searcher is not None

    def progress(self, name: str) -> tuple[int, int] | None:
        """Return (done, total) in images while the gallery loads; None once it has loaded or failed.

        This and all methods below load a gallery that is not loaded yet.
        """
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
        analysis = self._slot(name).analysis
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
        return first(names)

    def confidence(self, name: str) -> Confidence | None:
        """Return the gallery's tests for queries without a match; None if they are not computed yet."""
        return self._slot(name).confidence

    def _known(self, name: str) -> _Slot:
        if name == OWN:
            return _own_slot()
        if name not in self._slots:
            raise QueryError(f"No gallery is called {name!r}.{did_you_mean(name, self._slots)}")
        return self._slots[name]

    def _slot(self, name: str) -> _Slot:
        slot = self._known(name)
        if not slot.requested:
            self._request(name)
        elif slot.searcher and time.monotonic() > slot.looked + LOOK_SECONDS:
            slot.looked = time.monotonic()
            if (manifest := _manifest_of(slot)) not in (None, slot.manifest):
                slot.manifest = manifest
                self._tasks.put(partial(self._reopen, name, slot))
            elif slot.searcher.indexes.outdated():
                self._tasks.put(slot.searcher.indexes.renew)
        return slot

    def _request(self, name: str, *, calibrate: bool = True) -> None:
        slot = self._slots[name]
        with self._requests:
            if not slot.requested:
                slot.requested = True
                self._tasks.put(partial(self._open, name, slot))
                if calibrate:
                    self._tasks.put(partial(self._calibrate, slot))

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                task()
            except Exception:
                log.exception("A gallery could not be prepared.")

    def _use(self, name: str, slot: _Slot) -> None:
        slot.manifest = _manifest_of(slot)
        searcher = self._load(slot)
        serve_gallery(name, searcher.gallery, like=self.key(slot.choice.set))
        slot.analysis, slot.searcher = GalleryAnalysis(searcher.gallery, self._experts), searcher

    def _reopen(self, name: str, slot: _Slot) -> None:
        try:
            self._use(name, slot)
            slot.confidence = None
            self._calibrate(slot)
        except PairscopeError as error:
            log.error("%s: %s The gallery that was open stays in use.", name, error)

    def _open(self, name: str, slot: _Slot) -> None:
        try:
            self._use(name, slot)
        except PairscopeError as error:
            log.error("%s: %s", name, error)
            error.add_note(_cannot_open(name))  # for visitors; the text names folders of the server
            slot.error = error
        except Exception:
            log.exception("The gallery %r could not be opened.", name)
        finally:
            slot.ready.set()

    def _calibrate(self, slot: _Slot) -> None:
        if slot.analysis is not None:
            _, slot.confidence = slot.analysis.query_truth, slot.analysis.confidence()
            _ = slot.analysis.object_words  # like the truth, known now, so that no visitor waits for it

    def _check_experts(self, file: Path) -> None:
        analyses = filter(None, (self._slots[name].analysis for name in self.names))
        if not any(isinstance(analysis.query_truth, ExpertTruth) for analysis in analyses):
            log.warning(
                "%s judges no picture and caption of %s, so it marks no result. Serve a gallery whose "
                "pictures have the names in this file (pairscope build karpathy:dataset_flickr8k.json), or "
                "leave out --judgments.",
                file,
                ", ".join(self.names),
            )

    def _load(self, slot: _Slot) -> Searcher:
        spec = slot.choice.pictures
        name = set_name(spec)
        if is_gallery(Path(spec)):
            gallery = Gallery.open(spec, thumbnails_at=self._thumbnails.get(spec))
            encoder = self._encoder(model_to_load(gallery.manifest, slot.choice.spec))
            return Searcher(gallery, encoder, exact=self._exact)
        encoder = self._encoder(slot.choice.spec or DEFAULT_MODEL)
        pairs = load_pairs(spec)
        for note in pairs.notes:
            log.warning("%s: %s", name, note)
        slot.total = len(pairs)

        def report(done: int, total: int) -> None:
            slot.done, slot.total = done, total

        return Searcher(cached_gallery(name, pairs, encoder, report), encoder, exact=self._exact)

    def _encoder(self, spec: str) -> Encoder:
        if spec not in self._encoders:
            self._encoders[spec] = open_runtime(spec, self._runtime)
        return self._encoders[spec]


def first(names: Sequence[str]) -> str:
    """Return the first of the galleries that a visitor has selected.

    Raises:
        QueryError: None is selected.
    """
    if not names:
        raise QueryError("Select a gallery.")
    return names[0]


def _manifest_of(slot: _Slot) -> tuple[int, int] | None:
    """Return what changes when a gallery folder is replaced: inode and time of change of its manifest."""
    try:
        status = (Path(slot.choice.pictures) / MANIFEST).stat()
    except OSError:  # a source, which is built into the cache
        return None
    return status.st_ino, status.st_mtime_ns


def _own_slot() -> _Slot:
    """Return the gallery of the visitor whose event is being handled."""
    own = own_of_event()
    choice = Choice(OWN, model_name(own.searcher.encoder.spec), "", None, "folder:")
    slot = _Slot(choice, requested=True, searcher=own.searcher, analysis=own.analysis, looked=inf)
    slot.ready.set()
    return slot


def _cannot_open(name: str) -> str:
    return f"The gallery {name!r} could not be opened. The server's log has the details."
