"""Training losses: prediction kind, weight, and distribution of the training time."""

from difrun.loss.base import WEIGHTS, Loss, Regression, Weight
from difrun.loss.times import LAWS, LogitNormal, LogNormal, LogSNR, TimeLaw, Uniform

__all__ = [
    "LAWS",
    "WEIGHTS",
    "LogNormal",
    "LogSNR",
    "LogitNormal",
    "Loss",
    "Regression",
    "TimeLaw",
    "Uniform",
    "Weight",
]
