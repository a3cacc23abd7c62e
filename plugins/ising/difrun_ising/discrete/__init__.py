"""Processes of finitely many states: spins and strings."""
