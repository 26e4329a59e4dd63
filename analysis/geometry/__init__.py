"""Geometry of an embedding space: alignment, uniformity and related metrics, with intervals."""

from analysis.geometry.measures import alignment, uniformity

__all__ = ["alignment", "uniformity"]
