"""Grids and samplers that are fitted to one model: the pilot grid, and tuned coefficients."""

from difrun.tuning.pilot import Pilot, pilot
from difrun.tuning.result import Tuning
from difrun.tuning.tune import tune

__all__ = ["Pilot", "Tuning", "pilot", "tune"]
