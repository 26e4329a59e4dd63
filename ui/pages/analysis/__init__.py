"""The analysis page: one file per tab; all numbers come from `analysis.precompute`."""
