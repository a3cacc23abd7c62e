"""Runs in MLflow: parameters, metrics, curves and files. MLflow is imported when a run begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difrun.api import hookimpl
from difrun_mlflow.options import MLflowOptions
from difrun_mlflow.record import Record

RECORD = Record()


@hookimpl
def difrun_settings() -> type:
    return MLflowOptions


@hookimpl
def difrun_run_started(
    work: str, folder: Path, hyperparameters: Mapping[str, Any], settings: MLflowOptions | None
) -> None:
    RECORD.begin(work, folder, hyperparameters, settings or MLflowOptions())


@hookimpl
def difrun_train_step(step: int, loss: float, lr: float, rate: float) -> None:
    RECORD.numbers({"train/loss": loss, "train/learning_rate": lr, "train/steps_per_second": rate}, step)


@hookimpl
def difrun_sampled(facts: Mapping[str, Any], file: Path, step: int) -> None:
    if file.name == "samples.npz":
        RECORD.numbers({f"samples/{name}": facts.get(name) for name in ("seconds", "evaluations")}, step)


@hookimpl
def difrun_evaluated(metrics: Mapping[str, Mapping[str, Any]], file: Path, step: int) -> None:
    # Those of another file of samples, more.metrics.json, stand beside those of the run.
    of = "" if file.name == "metrics.json" else f" of {file.name.removesuffix('.metrics.json')}"
    RECORD.numbers({f"metrics{of}/{name}": number.get("value") for name, number in metrics.items()}, step)
    RECORD.numbers({f"floors{of}/{name}": number.get("floor") for name, number in metrics.items()}, step)
    RECORD.file(file)


@hookimpl
def difrun_likelihood(likelihood: Mapping[str, Any], file: Path, step: int) -> None:
    parts = {name: part for name, part in likelihood.items() if isinstance(part, Mapping)}
    for unit in ("nats", "bits_per_dim"):
        RECORD.numbers({f"likelihood/{name}_{unit}": part.get(unit) for name, part in parts.items()}, step)
    RECORD.file(file)


@hookimpl
def difrun_compared(row: Mapping[str, Any]) -> None:
    RECORD.row(row)


@hookimpl
def difrun_picture(file: Path) -> None:
    RECORD.file(file, "pictures")


@hookimpl
def difrun_run_finished(work: str, folder: Path) -> None:
    for name in ("run.toml", "report.html", "compare.csv", "compare.png"):
        RECORD.file(folder / name)
    RECORD.end("FINISHED")


@hookimpl
def difrun_run_failed(work: str, error: BaseException, stopped: bool) -> None:
    RECORD.end("KILLED" if stopped else "FAILED", f"{type(error).__name__}: {error}".rstrip(": "))
