"""Rung 6: a VAE for each weight of the KL."""
