"""The analysis page: one file per tab; all numbers come from `analysis.gallery_analysis`."""
