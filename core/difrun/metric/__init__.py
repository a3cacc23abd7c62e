"""Metrics: distances between samples and data, beside their floors."""

from difrun.metric.base import Reading, measure, reading, reads
from difrun.metric.calls import Metric
from difrun.metric.comparison import compared

__all__ = [
    "Metric",
    "Reading",
    "compared",
    "measure",
    "reading",
    "reads",
]
