"""Publish a Space, a model or a gallery on the Hugging Face hub."""

from ui.publish.contents import Contents, gallery_contents, model_contents, space_contents
from ui.publish.upload import publish

__all__ = ["Contents", "gallery_contents", "model_contents", "publish", "space_contents"]
