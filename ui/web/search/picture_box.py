"""An input for a picture whose value is the key of an upload."""

from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta
from PIL import Image

from itr_core.pairs.decoding import decode_upload
from ui.web.boundary.uploads import UPLOADS

BOXES = tuple(Path(__file__).with_name(name) for name in ("picture_box.js", "query_box.js"))
"""Scripts of a page that has this input, with the id `picture`, and a box for words with the id `query`."""
PLACEHOLDER = "Drop a picture here\nor click to choose one"
"""What such an input says while it is empty."""
OWN_PICTURE = "own"
"""Value of an address's parameter `picture`: the picture of the visitor, which is in no link."""
UPLOAD_SIDE = 1024
"""Large JPEG uploads are decoded at a fraction of their size, but not below this shorter side in pixels."""


def _key(_: gr.Image, upload: Any) -> str | None:
    return upload and (upload.path or "")


def _shown(_: gr.Image, url: str | None) -> dict[str, str] | None:
    return {"path": url, "url": url} if url else None  # without the marker of a file, which Gradio copies


# Not by a class statement, at which Gradio writes a stub file next to this one. Not by attributes of an
# object either, because Gradio makes a new object of the same class when an event updates it.
_PictureBox = ABCMeta.__new__(
    ComponentMeta,
    "PictureBox",
    (gr.Image,),
    {"is_template": True, "preprocess": _key, "postprocess": _shown},
)


def picture_box(**settings: Any) -> gr.Image:
    """Return an image input whose value is the key of an upload, or the address of a thumbnail.

    Gradio neither opens nor copies a file for it. `ui.web.boundary.uploads` reads the upload, and
    `itr_core.pairs.decoding` decodes it, with limits on size and formats.
    """
    return _PictureBox(type="filepath", **settings)


def decoded(key: str) -> Image.Image:
    """Decode an upload from its bytes, so that no error names a path."""
    return decode_upload(UPLOADS.read(key), min_side=UPLOAD_SIDE)
