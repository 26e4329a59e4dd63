"""Frozen features of a whole source: computed once, cached on disk, read by row."""
