"""Forward processes: how data become noise, and the bridge that leads back."""

from difrun.process.arrays import numpy_too
from difrun.process.base import ForwardProcess, Randomness
from difrun.process.distribution import Distribution, Normal
from difrun.process.gaussian import GaussianProcess
from difrun.process.schedule import Instant, Schedule

__all__ = [
    "Distribution",
    "ForwardProcess",
    "GaussianProcess",
    "Instant",
    "Normal",
    "Randomness",
    "Schedule",
    "numpy_too",
]
