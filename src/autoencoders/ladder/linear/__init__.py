"""Rung 4: a linear autoencoder beside PCA."""
