"""The hooks that a plugin may implement: one per kind of component, one for formats, and the events for loggers.

An implementation of an event names the arguments that it wants (`difrun.plugin.signatures`). So neither a new argument
nor a new optional field of `Component` breaks a plugin.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difrun.api import KINDS, Component, NoOptions, hookspec
from difrun.plugin.arguments import EVENT_ARGUMENTS

if TYPE_CHECKING:
    from difrun.config.plan import Plan


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
def difrun_settings() -> type:
    """The class of the options of a logger: flags, variables and values like those of a component."""
    return NoOptions


@hookspec
def difrun_run_started(
    work: str,
    folder: Path,
    plan: "Plan",
    config: Mapping[str, Any],
    hyperparameters: Mapping[str, int | float | bool | str],
    step: int,
    steps: int,
    settings: Any,
) -> None:
    """Called when work on a run begins. Exactly one of `difrun_run_finished` and `difrun_run_failed` follows."""


@hookspec
def difrun_train_step(step: int, steps: int, loss: float, rate: float, lr: float, folder: Path) -> None:
    """Called about twice a second while a model is trained, and at the end."""


@hookspec
def difrun_checkpoint(folder: Path, step: int, file: Path) -> None:
    """Called when the state of training is saved."""


@hookspec
def difrun_sample_step(step: int, steps: int, folder: Path) -> None:
    """Called after a step of the sampling loop, at most ten times a second, and after the last."""


@hookspec
def difrun_sampled(folder: Path, file: Path, n: int, facts: Mapping[str, Any], step: int) -> None:
    """Called when a file of samples is written."""


@hookspec
def difrun_evaluated(folder: Path, metrics: Mapping[str, Mapping[str, Any]], file: Path, step: int) -> None:
    """Called when samples have been measured and the numbers are written."""


@hookspec
def difrun_likelihood(folder: Path, likelihood: Mapping[str, Any], file: Path, step: int) -> None:
    """Called when the likelihood of held-out examples has been measured and is written."""


@hookspec
def difrun_tuned(folder: Path, steps: int, tuning: Mapping[str, Any], step: int) -> None:
    """Called when the sampler has been tuned for a number of steps and the result is written."""


@hookspec
def difrun_compared(folder: Path, row: Mapping[str, Any]) -> None:
    """Called when a row of a comparison is written."""


@hookspec
def difrun_picture(folder: Path, file: Path, title: str, caption: str, step: int) -> None:
    """Called when a picture of the report is drawn."""


@hookspec
def difrun_run_finished(folder: Path, metrics: Mapping[str, Mapping[str, Any]], work: str, step: int) -> None:
    """Called when the work that `difrun_run_started` told of is done."""


@hookspec
def difrun_run_failed(work: str, folder: Path, error: BaseException, stopped: bool, step: int) -> None:
    """Called when that work has ended otherwise: by an error, or because the user asked to stop."""


EVENTS = tuple(EVENT_ARGUMENTS)

SETTINGS = "difrun_settings"

FORMATS = "difrun_formats"
"""The hook whose components are no part of a run."""

OFFERED = {**KINDS, "format": FORMATS}
"""What a plugin may offer -> the hook: components of a run, and formats to write its model in."""
