"""Sources of random numbers that are passed in: sample i gets the same numbers whatever the chunk size."""

from difrun.randomness.brownian import Brownian
from difrun.randomness.generator import Generator, seed_of, torch_generator

__all__ = ["Brownian", "Generator", "seed_of", "torch_generator"]
