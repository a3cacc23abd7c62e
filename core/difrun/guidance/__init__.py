"""Guidance: models that wrap a model and change its score."""

from difrun.guidance.classifier_free import Extrapolated
from difrun.guidance.conditioned import Conditioned, LogLikelihoodFunction, Scale
from difrun.guidance.context import Context
from difrun.guidance.declared import towards_class

__all__ = ["Conditioned", "Context", "Extrapolated", "LogLikelihoodFunction", "Scale", "towards_class"]
