"""A gallery: a source of pairs embedded by one model, as a folder on disk that is ready to search."""

from itr_core.gallery.gallery import Gallery
from itr_core.gallery.manifest import is_gallery

__all__ = ["Gallery", "is_gallery"]
