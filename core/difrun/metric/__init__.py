"""Metrics: distances between samples and data, beside their floors."""

from difrun.metric.base import Reading, measure, reading, reads
from difrun.metric.comparison import Metric, comparable, compared

__all__ = ["Metric", "Reading", "comparable", "compared", "measure", "reading", "reads"]
