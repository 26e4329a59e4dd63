"""Probes: captions changed by a word, and how much each word counts."""
