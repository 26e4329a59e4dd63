"""Data sets in the layouts in which their authors distribute them, with the splits of the literature."""
