"""Contenders of `speed.py`: other codes that train the same networks, each a script."""
