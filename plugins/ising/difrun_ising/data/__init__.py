"""Datasets of finitely many states: Ising lattices, spins from a file, and strings."""
