"""Spins on a lattice: exact laws, draws and moments."""
