"""Metrics: distances between samples and data, beside their floors."""

from difrun.metric.base import Metric, Reading, comparable, compared, measure, reading, reads

__all__ = ["Metric", "Reading", "comparable", "compared", "measure", "reading", "reads"]
