"""The tabs of the analysis page, one file each."""
