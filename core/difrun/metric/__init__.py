"""Metrics: distances between samples and data, beside their floors."""

from difrun.metric.base import Reading, measure, reading, reads
from difrun.metric.calibration import Coverage, expected_coverage, rank_p_values, ranks
from difrun.metric.calls import Metric
from difrun.metric.classifier_test import c2st
from difrun.metric.comparison import compared

__all__ = [
    "Coverage",
    "Metric",
    "Reading",
    "c2st",
    "compared",
    "expected_coverage",
    "measure",
    "rank_p_values",
    "ranks",
    "reading",
    "reads",
]
