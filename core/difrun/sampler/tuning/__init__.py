"""Grids and samplers that are fitted to one model: the pilot grid, and tuned coefficients."""

from difrun.sampler.tuning.pilot_grid import Pilot, pilot
from difrun.sampler.tuning.result import Tuning
from difrun.sampler.tuning.search import tune

__all__ = ["Pilot", "Tuning", "pilot", "tune"]
