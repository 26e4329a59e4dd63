"""A gallery: a source of pairs embedded by one model, as a folder on disk that is ready to search."""

from itr_core.gallery.gallery import Gallery

__all__ = ["Gallery"]
