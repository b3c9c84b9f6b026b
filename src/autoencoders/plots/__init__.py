"""Figures: data in, `matplotlib.figure.Figure` out; one file per family."""
