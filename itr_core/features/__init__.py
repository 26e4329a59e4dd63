"""Frozen features of all images or captions of a source: computed once, cached on disk, read by row."""
