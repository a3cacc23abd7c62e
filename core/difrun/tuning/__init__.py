"""Grids and samplers that are fitted to one model: the pilot grid, and tuned coefficients."""

from difrun.tuning.pilot_grid import Pilot, pilot
from difrun.tuning.result import Tuning
from difrun.tuning.search import tune

__all__ = ["Pilot", "Tuning", "pilot", "tune"]
