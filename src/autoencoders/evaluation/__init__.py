"""Measures: pure functions, arrays in, numbers out."""
