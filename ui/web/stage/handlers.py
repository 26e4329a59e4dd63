"""The answers of the stage: a scene, perhaps edited, with its picture, its captions and its rank."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.scene_captions import Judged, SceneCaptions
from itr_core.errors import PairscopeError, SourceError
from itr_core.picturebook.parsing import parse_query
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.scene_code import decode, encode
from itr_core.picturebook.scene_rules import SceneError
from itr_core.picturebook.semantics import entails
from itr_core.picturebook.source import scene_of_id
from itr_core.picturebook.statements import statements
from ui.web.errors import message_of
from ui.web.galleries import Galleries
from ui.web.html import share_link
from ui.web.stage.actions import Edited, apply
from ui.web.stage.drawing import drawn

DEFAULT_ITEM = "gallery-000003.png"
"""The picture that the page opens with."""
MOST_CHARACTERS = 200
"""Longest caption of a visitor."""
ID_CHARACTERS = 32
AT_ONCE = 4
"""Scenes that are drawn and encoded at the same time; others wait."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """The scene that an answer shows.

    Attributes:
        item: Id of the picture that the edits started from.
        start: Its scene.
        edited: The scene after the edit, what the edit was, and the thing that was edited.
        notes: What could not be done, and why.
    """

    item: str
    start: Scene
    edited: Edited
    notes: list[str]


class StageHandlers:
    """Handlers over `galleries`."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries
        self._captions: dict[str, SceneCaptions] = {}
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def stage(self, request: Any) -> dict[str, Any]:
        """Answer a request of the page.

        Args:
            request: From the browser, so it can be anything. Expected: `scene` (see `scene_code`), `item` (id
                of the picture that the edits started from), `g` (gallery), `caption` of the visitor, and
                `edit` (see `actions`). Everything can be missing.

        Returns:
            What the page shows. `notes` say what was refused; the page then shows the scene before the edit,
            or the default scene.
        """
        with self._room:
            start = time.perf_counter()
            asked = request if isinstance(request, Mapping) else {}
            shown = _stage(asked)
            scene = shown.edited.scene
            answer = drawn(scene) | {
                "scene": encode(scene),
                "item": shown.item,
                "start": encode(shown.start),
                "done": shown.edited.words,
                "thing": shown.edited.thing,
                "gallery": "",
                "loading": None,
                "captions": [],
                "own": None,
                "notes": shown.notes,
            }
            try:
                answer |= self._said(asked, shown)
            except Exception as error:  # the scene can be edited without a model
                answer["notes"] = [*shown.notes, message_of(error)]
            answer["milliseconds"] = 1000 * (time.perf_counter() - start)
            return answer

    def _said(self, asked: Mapping[str, Any], shown: _Stage) -> dict[str, Any]:
        """Return what the model of the gallery says about the picture."""
        gallery = _text(asked, "g", MOST_CHARACTERS) or self.galleries.names[0]
        if (progress := self.galleries.progress(gallery)) is not None:
            return {"gallery": gallery, "loading": progress}
        captions, scene = self._captions_of(gallery), shown.edited.scene
        judged = captions.judged(scene, shown.start)
        own = _text(asked, "caption", MOST_CHARACTERS) or _first_caption(shown.start)
        ranks = [captions.rank(own, each, without=shown.item) for each in (shown.start, scene)]
        known = {each.caption.text: each.true for each in judged}
        return {
            "gallery": gallery,
            "captions": [_bar(each) for each in judged],
            "own": {
                "text": own,
                "score": captions.score(own, scene),
                "true": _truth(own, scene) if own not in known else known[own],
                "before": ranks[0][0],
                "rank": ranks[1][0],
                "of": ranks[1][1],
                "link": f".{share_link(q=own, g=gallery)}",
            },
        }

    def _captions_of(self, gallery: str) -> SceneCaptions:
        searcher = self.galleries.searcher(gallery, timeout=0)
        found = self._captions.get(gallery)
        if found is None or found.searcher is not searcher:
            found = self._captions[gallery] = SceneCaptions(searcher)
        return found


def _stage(asked: Mapping[str, Any]) -> _Stage:
    notes: list[str] = []
    item = _text(asked, "item", ID_CHARACTERS + 1) or DEFAULT_ITEM
    try:
        start = _scene_of(item)
    except PairscopeError as error:
        notes.append(f"{error} This is the picture the page opens with.")
        item = DEFAULT_ITEM
        start = _scene_of(item)
    scene = start
    try:
        if code := _text(asked, "scene", 10_000):
            scene = decode(code)
    except SceneError as error:
        notes.append(f"This address has no valid scene. {error} The scene before all edits is shown.")
    edited = Edited(scene, "")
    edit = asked.get("edit")
    try:
        if isinstance(edit, Mapping) and not notes:
            edited = apply(scene, edit)
    except SceneError as error:
        notes.append(str(error))
    return _Stage(item, start, edited, notes)


def _truth(caption: str, scene: Scene) -> bool | None:
    """Return whether a caption is true of a scene; None if it is not in the grammar of the captions."""
    meaning = parse_query(caption)
    return None if meaning is None else entails(scene, meaning)


def _first_caption(scene: Scene) -> str:
    """Return the caption that is ranked until the visitor chooses one: that of the first things."""
    return statements(scene)[1].caption.text


def _scene_of(item: str) -> Scene:
    """Return the scene of the picture `item` of Picturebook; raise SourceError if there is none."""
    if len(item) > ID_CHARACTERS or not item.isascii():
        raise SourceError(f"{item[:ID_CHARACTERS]!r} is no picture of Picturebook.")
    return scene_of_id(item)


def _text(asked: Mapping[str, Any], name: str, longest: int) -> str:
    value = asked.get(name)
    return value.strip()[:longest] if isinstance(value, str) else ""


def _bar(each: Judged) -> dict[str, Any]:
    return {"text": each.caption.text, "score": each.score, "true": each.true}
