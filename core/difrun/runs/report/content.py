"""The content of a run's report, except for its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from difrun.analysis.signal import Signal
from difrun.report import html
from difrun.report.html import Picture, ReportContext
from difrun.report.verdict import verdict
from difrun.runs.folder.dataset import describe
from difrun.runs.report.likelihood import report_rows
from difrun.text import quoted
from difrun.training.trainer import Trainer

if TYPE_CHECKING:
    from difrun.runs.run import Run


def write_report(run: "Run", pictures: Sequence[Picture], left_out: Sequence[str] = ()) -> Path:
    """Write report.html of an evaluated run, and return its path; left_out: a sentence for each failed picture."""
    plan, signal, dataset = run.plan, run.signal, run.parts.dataset
    description = describe(dataset)
    content = run.facts
    process = plan.process.entry
    summary = [f"{process.name}: {process.component.summary}."]
    summary += [signal.sentence() if signal else "", description, *dataset.notes]
    rows, notes = report_rows(content.get("likelihood"))
    context = ReportContext(
        title=f"{process.name} on {dataset.name}",
        summary=[text for text in summary if text],
        headline={
            "process": plan.process.name,
            "model": plan.model.name,
            "sampler": f"{plan.sampler.name}, {plan.sample.steps} steps",
            "dataset": dataset.name,
        },
        metrics=content.get("metrics", {}),
        verdict=f"{verdict(run.metrics)} {run.suggestion}".strip(),
        metric_notes={name: number.get("meaning", "") for name, number in run.metrics.items()},
        likelihood=rows,
        likelihood_notes=notes,
        signal=_signal(signal) if signal else {},
        warnings=_warnings(run, signal, left_out),
        pictures=[picture for picture in pictures if picture.title != "Loss"],
        training_pictures=[picture for picture in pictures if picture.title == "Loss"],
        training=_spaced(content.get("training", {})),
        sampling=_spaced(content.get("samples", {})),
        config_text=run.folder.config.read_text(encoding="utf-8"),
        versions=plan.versions(torch.__version__),
        commands=[
            f"difrun run --config {quoted(run.folder.config)} --out ANOTHER_FOLDER",
            f"difrun sample {quoted(run.path)} --n 10000 --steps 50",
            f"difrun evaluate {quoted(run.path)}",
            f"difrun evaluate {quoted(run.path)} --likelihood",
        ],
    )
    return html.write(run.path, context)


def _signal(signal: Signal) -> dict[str, Any]:
    return {
        "T": signal.horizon,
        "α at T": signal.alpha,
        "σ at T": signal.sigma,
        "signal-to-noise ratio at T": signal.snr,
        "correlation of x_T with the data": signal.correlation,
        "prior": "moment-matched normal",
    }


def _spaced(facts: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", " "): value for name, value in facts.items()}


def _warnings(run: "Run", signal: Signal | None, left_out: Sequence[str]) -> list[str]:
    warnings = [signal.sentence()] if signal and signal.is_large else []
    if run.trainer and run.trainer.last < run.trainer.options.steps:
        warnings.append(_cut_short(run.trainer))
    warnings += run.parts.process.advice()
    return warnings + [f"{text[0].upper()}{text[1:]}." for text in left_out]


def _cut_short(trainer: Trainer) -> str:
    return (
        f"Training was ended at step {trainer.last} of the {trainer.options.steps} that were planned, before the "
        "learning rate had fallen to 0."
    )
