"""Guidance to a measurement y = A x_0 + noise."""
