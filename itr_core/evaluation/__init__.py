"""Evaluation of a model on a source: protocols, intervals, comparison of two models, human judgments."""

from itr_core.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
