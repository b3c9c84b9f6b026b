"""Rung 2: several images in one network."""
