"""Panels of the tabs: the HTML of a point of the map, of a miss, and of a probed caption."""
