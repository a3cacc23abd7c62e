"""The hooks that a plugin may implement: one per kind of component, one for formats, and three events for loggers.

An implementation of an event names the arguments that it wants (`difrun.plugin.signatures`). So neither a new argument
nor a new optional field of `Component` breaks a plugin.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from difrun.api import Component, hookspec


@hookspec
def difrun_processes() -> Iterable[Component]:
    """Forward (noising) processes."""
    return []


@hookspec
def difrun_models() -> Iterable[Component]:
    """Networks, and exact score models."""
    return []


@hookspec
def difrun_losses() -> Iterable[Component]:
    """Training losses."""
    return []


@hookspec
def difrun_samplers() -> Iterable[Component]:
    """Samplers: one step from time t to s < t."""
    return []


@hookspec
def difrun_guidances() -> Iterable[Component]:
    """Functions that wrap a model and change its score."""
    return []


@hookspec
def difrun_grids() -> Iterable[Component]:
    """Time grids."""
    return []


@hookspec
def difrun_datasets() -> Iterable[Component]:
    """Datasets."""
    return []


@hookspec
def difrun_metrics() -> Iterable[Component]:
    """Distances between samples and data."""
    return []


@hookspec
def difrun_formats() -> Iterable[Component]:
    """Formats in which `difrun export` writes the model of a run: functions of the run and a new folder."""
    return []


@hookspec
def difrun_train_step(step: int, steps: int, loss: float, rate: float) -> None:
    """Called at each report of the training loop; `rate` is in steps per second."""


@hookspec
def difrun_sample_step(step: int, steps: int) -> None:
    """Called after each step of the sampling loop."""


@hookspec
def difrun_run_finished(folder: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Called when a run has been trained, sampled and evaluated."""


FORMATS = "difrun_formats"
"""The hook whose components are no part of a run."""

EVENTS = ("difrun_train_step", "difrun_sample_step", "difrun_run_finished")
