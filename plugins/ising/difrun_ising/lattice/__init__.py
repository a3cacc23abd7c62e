"""Spins on a lattice: exact distributions, draws and moments."""
