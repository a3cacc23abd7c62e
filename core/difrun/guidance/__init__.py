"""Guidance: models that wrap a model and change its score."""

from difrun.guidance.conditioned import Conditioned, LogLikelihoodFunction, Scale
from difrun.guidance.context import Context
from difrun.guidance.extrapolated import Extrapolated

__all__ = ["Conditioned", "Context", "Extrapolated", "LogLikelihoodFunction", "Scale"]
