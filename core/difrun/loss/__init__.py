"""Training losses: prediction kind, weight, and distribution of the training time."""

from difrun.loss.base import WEIGHTS, Loss, Regression, Weight, edm, min_snr, score_matching, snr, uniform
from difrun.loss.times import TIME_DISTRIBUTIONS, LogitNormal, LogNormal, LogSNR, TimeDistribution, Uniform

__all__ = [
    "TIME_DISTRIBUTIONS",
    "WEIGHTS",
    "LogNormal",
    "LogSNR",
    "LogitNormal",
    "Loss",
    "Regression",
    "TimeDistribution",
    "Uniform",
    "Weight",
    "edm",
    "min_snr",
    "score_matching",
    "snr",
    "uniform",
]
