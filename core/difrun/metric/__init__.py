"""Metrics: distances between samples and data, beside their floors."""

from difrun.metric.base import Reading, measure, reading, reads
from difrun.metric.comparison import Metric, compared

__all__ = [
    "Metric",
    "Reading",
    "compared",
    "measure",
    "reading",
    "reads",
]
