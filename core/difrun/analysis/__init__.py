"""Measures of a model that need no samples: likelihoods, bounds, entropies, and fine reference solutions."""

from difrun.analysis.data_entropy import Estimate, entropy
from difrun.analysis.likelihood import LogLikelihood, log_likelihood
from difrun.analysis.lower_bound import Elbo, elbo
from difrun.analysis.reference import Endpoint, endpoint
from difrun.analysis.signal import Signal

__all__ = [
    "Elbo",
    "Endpoint",
    "Estimate",
    "LogLikelihood",
    "Signal",
    "elbo",
    "endpoint",
    "entropy",
    "log_likelihood",
]
