"""The galleries that visitors may search: opened when the app starts, or built behind it."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

from analysis.calibration import Calibration
from analysis.gallery_analysis import GalleryAnalysis
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import GalleryError, PairscopeError, QueryError, did_you_mean
from itr_core.gallery import Gallery
from itr_core.gallery.names import unique_names
from itr_core.pairs import load_pairs
from itr_core.retrieval.searcher import Searcher
from itr_core.system.files import cache_dir

log = logging.getLogger(__name__)


@dataclass
class _Slot:
    ready: threading.Event = field(default_factory=threading.Event)
    searcher: Searcher | None = None
    analysis: GalleryAnalysis | None = None
    calibration: Calibration | None = None
    error: PairscopeError | None = None
    done: int = 0
    total: int = 0


class Galleries:
    """Galleries by name: folders made by `pairscope build`, or sources, which are built into the cache first.

    `model` is the spec for sources, and stands in for the one that a gallery's manifest names (the weights
    must be the same). Everything loads in one background thread, in order, so that the page opens at once.
    """

    def __init__(self, wanted: Sequence[str], model: str | None) -> None:
        self._model = model
        self._wanted = dict(zip(unique_names(map(_name, wanted)), wanted, strict=True))
        self._slots = {name: _Slot() for name in self._wanted}
        self._encoders: dict[str, DualEncoder] = {}
        threading.Thread(target=self._load_all, name="galleries", daemon=True).start()

    @property
    def names(self) -> list[str]:
        return list(self._slots)

    def progress(self, name: str) -> tuple[int, int] | None:
        """How far a gallery is, (done, total) pictures; None once `searcher` answers, or refuses for good."""
        slot = self._slot(name)
        return None if slot.ready.is_set() else (slot.done, slot.total)

    def searcher(self, name: str, timeout: float | None = None) -> Searcher:
        """Return the gallery's searcher, waiting up to `timeout` seconds (None: for ever) until it is there.

        Raises QueryError for an unknown name or one that is not ready, and for a failed one what went wrong.
        """
        slot = self._slot(name)
        if not slot.ready.wait(timeout):
            raise QueryError(
                f"The gallery {name!r} is still being made ({slot.done:,} of {slot.total or '?'} pictures)."
            )
        if slot.searcher is None:
            raise slot.error or QueryError(
                f"The gallery {name!r} could not be opened; the server's log says why."
            )
        return slot.searcher

    def analysis(self, name: str) -> GalleryAnalysis:
        """Return what is measured of the gallery; raises as `searcher` does, without waiting."""
        self.searcher(name, timeout=0)
        analysis = self._slots[name].analysis
        assert analysis is not None
        return analysis

    def calibration(self, name: str) -> Calibration | None:
        """Return what best scores mean in the gallery; None until that is known, or where nobody can know."""
        return self._slot(name).calibration

    def _slot(self, name: str) -> _Slot:
        if name not in self._slots:
            raise QueryError(f"No gallery is called {name!r}.{did_you_mean(name, self._slots)}")
        return self._slots[name]

    def _load_all(self) -> None:
        for name, slot in self._slots.items():
            try:
                searcher = self._load(self._wanted[name], slot)
                gr.set_static_paths(
                    [searcher.gallery.path / "thumbnails"]
                )  # all that is ever served of a gallery
                slot.analysis = GalleryAnalysis(searcher.gallery)
                slot.searcher = searcher
            except PairscopeError as error:
                slot.error = error
                log.error("%s: %s", name, error)
            except Exception:
                log.exception("The gallery %r could not be opened.", name)
            finally:
                slot.ready.set()
        for slot in self._slots.values():  # nobody waits for it
            if slot.analysis is not None:
                with suppress(GalleryError):  # too few captions
                    slot.calibration = slot.analysis.calibration()

    def _load(self, spec: str, slot: _Slot) -> Searcher:
        if Path(spec).is_dir():
            gallery = Gallery.open(spec)
            return Searcher(gallery, self._encoder(self._model or gallery.manifest.model))
        encoder = self._encoder(self._model or "starter:infonce")
        pairs = load_pairs(spec)
        folder = cache_dir("galleries") / f"{_name(spec)}-{pairs.fingerprint[:12]}-{encoder.fingerprint[:12]}"
        try:
            return Searcher(Gallery.open(folder), encoder)
        except PairscopeError as reason:  # not there yet, or damaged: a cache may be made anew
            log.info("building %s: %s", folder.name, reason)
        slot.total = len(pairs)

        def show(done: int, total: int) -> None:
            slot.done, slot.total = done, total

        return Searcher(Gallery.build(pairs, encoder, folder, progress=show), encoder)

    def _encoder(self, spec: str) -> DualEncoder:
        if spec not in self._encoders:
            self._encoders[spec] = load_encoder(spec)
        return self._encoders[spec]


def _name(spec: str) -> str:
    """What visitors call it: 'photos' for photos/ and folder:my/photos, 'picturebook' for any part of it."""
    if Path(spec).exists():
        return Path(spec).resolve().stem
    scheme, _, rest = spec.partition(":")
    return scheme if scheme == "picturebook" else Path(rest).stem
