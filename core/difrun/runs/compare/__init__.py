"""Comparisons: samplers, grids and runs under one noise."""
