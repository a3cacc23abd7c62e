"""Guidance: models that wrap a model and change its score."""

from difrun.guidance.context import Context
from difrun.guidance.guided import Conditioned, Extrapolated, LogLikelihoodFunction, Scale

__all__ = ["Conditioned", "Context", "Extrapolated", "LogLikelihoodFunction", "Scale"]
