"""Which components make a run, and with which values."""

from difrun.config.plan import Plan, resolve
from difrun.config.run_options import GeneralOptions, PredictionOptions, SampleOptions, TrainOptions
from difrun.config.settings import Settings

__all__ = [
    "GeneralOptions",
    "Plan",
    "PredictionOptions",
    "SampleOptions",
    "Settings",
    "TrainOptions",
    "resolve",
]
