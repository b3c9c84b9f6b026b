"""Rung 5: what an autoencoder and a VAE draw from N(0, I)."""
