"""Retrieval: an index of embeddings, a searcher over one gallery, and re-ranking by tokens."""

from itr_core.retrieval.searcher import Hit, Searcher

__all__ = ["Hit", "Searcher"]
