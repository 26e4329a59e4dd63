"""The tabs of the analysis page."""
