"""Rung 3: random vectors against learned ones."""
