"""Misses at rank 1: the cause of each, the difference between query and result, and verdicts of people."""
