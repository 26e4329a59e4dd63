"""Probes: the effect of small changes of a caption, and of its single words, on the score of an image."""
