"""Samples that are drawn in Python, in a file as the command writes it."""

import contextlib
import copy
from pathlib import Path
from typing import Any

from torch import Tensor

from difrun.errors import ConfigError
from difrun.face.arguments import as_flag
from difrun.face.checks import a_path
from difrun.face.subject import Subject
from difrun.model.wrappers import Counted
from difrun.plugin.signatures import Lazy
from difrun.runs.stages import sample_file
from difrun.runs.stages.sampling import SampleRequest, evaluations_per_sample


def file_for(out: Path | str, force: bool) -> Path:
    """Return the file for samples. Raises DifrunError, before any is drawn, if they cannot go there."""
    a_path("out", out)
    return sample_file.checked_path(Path(out), force, "out=", "force=True")


def save(
    file: Path,
    subject: Subject,
    samples: Tensor,
    labels: Tensor | None,
    counted: Counted,
    *,
    seed: int,
    label: Any,
    condition: Any,
    at: float | None,
) -> None:
    """Write samples, and tell the loggers of a run.

    Args:
        file: The file.
        subject: The model and its data.
        samples: In the units of the model.
        labels: Their classes or conditions, if any.
        counted: The model, which has counted its evaluations.
        seed: The seed.
        label: The class that was asked for.
        condition: The condition that was asked for.
        at: The level from which they were drawn; None for T.
    """
    request = SampleRequest.of(
        subject.plan, n=len(samples), seed=seed, label=_one(label), condition=_one_row(condition)
    )
    facts = request.facts() | {"evaluations": evaluations_per_sample(counted, len(samples))}
    if at is not None:
        facts["at"] = at
    drawn = {"n": request.n, "seed": request.seed, **facts}
    run = subject.run
    with contextlib.nullcontext() if run is None else run.writing_beside(file):
        sample_file.write(file, samples, labels, subject.dataset, drawn)
    if run is not None:
        run.tell("difrun_sampled", file=file, n=request.n, facts=Lazy(lambda: copy.deepcopy(facts)))


def _one(label: Any) -> str | None:
    """One class for all samples as text; None where each has its own, which the file holds."""
    return str(label) if isinstance(label, str | int) and not isinstance(label, bool) else None


def _one_row(condition: Any) -> str | None:
    """One condition for all samples as text; None where each has its own."""
    try:
        return as_flag(condition)
    except ConfigError:
        return None
