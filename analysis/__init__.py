"""Measures of a gallery: pure functions from embeddings to tables; figures.py alone knows plotly."""
