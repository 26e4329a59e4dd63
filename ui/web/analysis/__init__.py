"""The analysis page: one file per tab. All numbers come from `analysis.gallery_analysis`."""
