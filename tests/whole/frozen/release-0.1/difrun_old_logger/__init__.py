"""Losses and metrics of a run as a CSV file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difrun.api import hookimpl

from difrun_old_logger.log import OldLogger

LOG = OldLogger()


@hookimpl
def difrun_train_step(step: int, loss: float) -> None:
    LOG.train_step(step, loss)


@hookimpl
def difrun_run_finished(folder: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    LOG.run_finished(folder, metrics)
