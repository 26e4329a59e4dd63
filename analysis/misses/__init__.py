"""Retrieval misses: the cause of each, what query and answer differ in, and verdicts of people."""
