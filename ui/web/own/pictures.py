"""The pictures of one visitor on disk, and the gallery that is built from them."""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from analysis.confidence import Confidence
from analysis.gallery_analysis import GalleryAnalysis
from analysis.verdict import count_unfamiliar
from itr_core.encoders.encoder import Encoder
from itr_core.errors import PairscopeError, QueryError
from itr_core.gallery import Gallery
from itr_core.pairs.caption_files import TABLES
from itr_core.retrieval.searcher import Searcher
from itr_core.system.computation import Computation
from ui.web.boundary.served import serve_gallery, stop_serving
from ui.web.errors import UNEXPECTED, message_of
from ui.web.own.build import build_gallery, for_visitor

log = logging.getLogger(__name__)

MOST_PICTURES = 500
"""Most pictures of one visitor."""
MOST_BYTES = 100 * 2**20
"""Most bytes of all files of one visitor; the page sends large photos at a smaller size."""
MOST_NAMED = 50
"""Most pictures that are named with the reason why they cannot be used."""
NAME_BYTES = 180
"""Longest name of a file."""
_AT_ONCE = threading.Semaphore(max(1, (os.cpu_count() or 2) // 2))
"""Galleries that are built at the same time; the others wait."""


class OwnPictures:
    """Files that a visitor sends one after the other, then the gallery that is built from them.

    Args:
        folder: A new folder, named by a random key.

    Attributes:
        key: The key: it names the set in the requests of its page, and the gallery's thumbnails.
        searcher: Searches the gallery; None until it is built.
        analysis: Its analysis; None until it is built.
        photos: How many pictures look like photos to a model that has only seen drawings; 0 for other models,
            and until it is built.
    """

    def __init__(self, folder: Path) -> None:
        self.key = folder.name
        self.searcher: Searcher | None = None
        self.analysis: GalleryAnalysis | None = None
        self.photos = 0
        self._folder = folder
        self._names: set[str] = set()
        self._bytes = 0
        self._left_out: list[dict[str, str]] = []
        self._notes: list[str] = []
        self._problem = ""
        self._computation: Computation[list[str]] | None = None
        self._complete = False
        self._removed = False
        self._lock = threading.Lock()
        (folder / "pictures").mkdir(parents=True, mode=0o700)

    def add(self, name: str | None, content: BinaryIO) -> None:
        """Store a file; beyond the limits, it is left out with a reason.

        Raises:
            QueryError: The pictures are already being embedded, or were removed.
        """
        name = _file_name(name)
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        with self._lock:
            if self._removed or self._complete:
                raise QueryError("These pictures are complete. Drop all pictures again to add some.")
            reason = self._refusal(name, size)
            if reason:
                self._left_out.append({"name": name, "reason": reason})
                return
            name = self._unique(name)
            self._names.add(name.casefold())
            self._bytes += size
            with (self._folder / "pictures" / name).open("xb") as file:
                shutil.copyfileobj(content, file)

    def build(self, encoder: Callable[[], Encoder], drawings: Callable[[], Confidence | None]) -> None:
        """Build the gallery in the background.

        Args:
            encoder: Returns the model; it may wait until the model is loaded.
            drawings: Returns the tests of the drawings by which photos are known, if the model has only seen
                drawings; else None. Called when the gallery is built.

        Raises:
            QueryError: There are no pictures, or they are already being embedded.
        """
        with self._lock:
            if self._removed or self._complete:
                raise QueryError("These pictures are already being embedded. Drop all of them again.")
            if not self._names:
                reasons = "; ".join(f"{each['name']}: {each['reason']}" for each in self._left_out[:3])
                raise QueryError(f"There are no pictures to search. {reasons}".strip())
            self._complete = True
        threading.Thread(target=self._run, args=(encoder, drawings), name="own pictures", daemon=True).start()

    def remove(self) -> None:
        """Stop the work and delete all files."""
        with self._lock:
            self._removed = True
            if self._computation:
                self._computation.kill()
            stop_serving(self.key)
            self.searcher = self.analysis = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def state(self) -> dict[str, Any]:
        """Return what the page shows: see `own.js`."""
        computation = self._computation
        shown: dict[str, Any] = {
            "set": self.key, "notes": self._notes, "skipped": self._left_out[:MOST_NAMED],
            "more": max(0, len(self._left_out) - MOST_NAMED),
        }  # fmt: skip
        if self._problem:
            return shown | {"state": "failed", "problem": self._problem}
        if self.searcher:
            about = self.searcher.gallery.manifest
            return shown | {
                "state": "ready", "pictures": about.images, "captions": about.captions, "model": about.model,
            }  # fmt: skip
        if not self._complete:
            return shown | {"state": "collecting", "files": len(self._names)}
        done, total = (computation.done, computation.total) if computation else (0, 0)
        return shown | {"state": "building", "done": done, "total": total, "waiting": computation is None}

    def _run(self, encoder: Callable[[], Encoder], drawings: Callable[[], Confidence | None]) -> None:
        try:
            model = encoder()
            with _AT_ONCE:
                self._build(model, drawings)
        except PairscopeError as error:
            self._problem = message_of(error)
        except Exception:
            if not self._removed:  # else the process was killed
                log.exception("The pictures of a visitor could not be embedded.")
                self._problem = UNEXPECTED
        finally:
            if self._removed:  # the process may have written until it was killed
                shutil.rmtree(self._folder, ignore_errors=True)

    def _build(self, encoder: Encoder, drawings: Callable[[], Confidence | None]) -> None:
        target = self._folder / "gallery"
        with self._lock:
            if self._removed:
                return
            self._computation = Computation(build_gallery, self._folder / "pictures", encoder.spec, target)
        self._notes = self._computation.result()
        searcher = Searcher(Gallery.open(target, verify=False), encoder)
        self.photos = count_unfamiliar(drawings(), searcher.gallery.image_embeddings)
        with self._lock:
            if self._removed:
                return
            skipped = searcher.gallery.manifest.skipped
            self._left_out += [
                {"name": each.name, "reason": for_visitor(each.reason, self._folder)} for each in skipped
            ]
            serve_gallery(self.key, searcher.gallery)
            self.analysis = GalleryAnalysis(searcher.gallery)
            self.searcher = searcher

    def _refusal(self, name: str, size: int) -> str:
        if self._bytes + size > MOST_BYTES:
            return f"all pictures together are larger than {MOST_BYTES // 2**20} MB"
        captions = Path(name).suffix.lower() in TABLES
        if len(self._names) >= MOST_PICTURES and not captions:
            return f"there are more than {MOST_PICTURES} pictures"
        return "there are too many files" if len(self._names) >= 2 * MOST_PICTURES else ""

    def _unique(self, name: str) -> str:
        """Return the name with a number, if another file of the set already has it."""
        stem, suffix = Path(name).stem, Path(name).suffix
        number = 1
        while name.casefold() in self._names:
            number += 1
            name = f"{stem} ({number}){suffix}"
        return name


def _file_name(name: str | None) -> str:
    """Return a name without folders that every file system accepts; caption files name pictures by it."""
    base = (name or "").replace("\\", "/").rpartition("/")[2]
    base = "".join(c for c in base if c.isprintable() and c not in '<>:"|?*').strip(" .") or "picture"
    stem, suffix = Path(base).stem, Path(base).suffix[:10]
    while len(f"{stem}{suffix}".encode()) > NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}{suffix}"
