"""Comparison of models that search the same images: per query, over all captions, and against noise."""
