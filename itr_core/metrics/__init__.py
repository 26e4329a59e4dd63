"""Retrieval metrics: pure functions of a similarity matrix, and bootstrap intervals of what they return."""

from itr_core.metrics.precision import label_map, precision_at_r
from itr_core.metrics.recall import CUTOFFS, ranks, retrieval_metrics
from itr_core.metrics.similarity import CosineSimilarity

__all__ = ["CUTOFFS", "CosineSimilarity", "label_map", "precision_at_r", "ranks", "retrieval_metrics"]
