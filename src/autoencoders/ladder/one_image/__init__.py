"""Rung 1: one image in the weights."""
