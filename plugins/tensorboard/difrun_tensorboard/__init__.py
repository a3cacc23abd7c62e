"""Runs in TensorBoard: curves, metrics, pictures and hyper-parameters. TensorBoard is imported when a run begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difrun.api import hookimpl
from difrun_tensorboard.log import Log
from difrun_tensorboard.options import TensorBoardOptions

LOG = Log()


@hookimpl
def difrun_settings() -> type:
    return TensorBoardOptions


@hookimpl
def difrun_run_started(
    work: str,
    folder: Path,
    hyperparameters: Mapping[str, Any],
    step: int,
    settings: TensorBoardOptions | None,
) -> None:
    LOG.begin(work, folder, hyperparameters, step, settings or TensorBoardOptions())


@hookimpl
def difrun_train_step(step: int, loss: float, lr: float, rate: float) -> None:
    LOG.numbers({"train/loss": loss, "train/learning_rate": lr, "train/steps_per_second": rate}, step)


@hookimpl
def difrun_sampled(facts: Mapping[str, Any], file: Path, step: int) -> None:
    if file.name == "samples.npz":
        numbers = {f"samples/{name}": facts.get(name) for name in ("seconds", "evaluations")}
        LOG.numbers(numbers, step)


@hookimpl
def difrun_evaluated(metrics: Mapping[str, Mapping[str, Any]], file: Path, step: int) -> None:
    # Those of another file of samples, more.metrics.json, stand beside those of the run.
    of = "" if file.name == "metrics.json" else f" of {file.name.removesuffix('.metrics.json')}"
    LOG.numbers({f"metrics{of}/{name}": number.get("value") for name, number in metrics.items()}, step)
    LOG.numbers({f"floors{of}/{name}": number.get("floor") for name, number in metrics.items()}, step)


@hookimpl
def difrun_likelihood(likelihood: Mapping[str, Any], step: int) -> None:
    parts = {name: part for name, part in likelihood.items() if isinstance(part, Mapping)}
    for unit in ("nats", "bits_per_dim"):
        LOG.numbers({f"likelihood/{name}_{unit}": part.get(unit) for name, part in parts.items()}, step)


@hookimpl
def difrun_compared(row: Mapping[str, Any]) -> None:
    LOG.row(row)


@hookimpl
def difrun_picture(file: Path, title: str, caption: str, step: int) -> None:
    LOG.picture(file, title, caption, step)


@hookimpl
def difrun_run_finished(work: str) -> None:
    LOG.end(work, "finished")


@hookimpl
def difrun_run_failed(work: str, stopped: bool) -> None:
    LOG.end(work, "stopped" if stopped else "failed")
