"""Supervision beyond the pairs: labels, a graph of concepts, triples of related words."""
