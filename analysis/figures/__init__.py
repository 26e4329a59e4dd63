"""Plots of results with plotly, one module per topic, with a common style.

Only this package and `analysis.report` import plotly.
"""
