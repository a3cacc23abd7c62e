"""Comparisons of samplers, grids and runs that start from the same noise."""
