"""The classes or conditions that a call asks for, as the model takes them."""

from typing import Any

import torch
from torch import Tensor

from difrun.config.run_options import SampleOptions
from difrun.data.casts import as_data
from difrun.errors import DifrunError
from difrun.face.subject import Subject
from difrun.model.base import ScoreModel
from difrun.model.labels import as_condition
from difrun.runs.stages.labels import labels_of


def labels_asked(subject: Subject, model: ScoreModel, label: Any, condition: Any, n: int) -> Tensor | None:
    """Return the classes or conditions of n samples that a call asks for, else those of the run or of the data.

    Args:
        subject: What the call works on.
        model: The model inside its guidances.
        label: A class, or one for each; None: not asked for.
        condition: Numbers in the units of the data, one row for all or one for each, NaN for a gap; or text as
            `difrun sample --condition` takes it. None: not asked for.
        n: The number of samples.

    Raises:
        DifrunError: If both are asked for, or the model takes no such thing.
    """
    asked = subject.plan.sample
    if condition is None and label is None:
        if asked.condition is not None and subject.dataset is not None:
            return labels_of(model, subject.dataset, asked, n)
        return subject.labels(model, asked.label, n)
    if condition is None:
        return subject.labels(model, label, n)
    if label is not None:
        raise DifrunError("label and condition cannot be given together: data have classes or a condition.")
    if isinstance(condition, str):
        if subject.dataset is None:
            raise DifrunError("a model without data takes its condition as numbers, not as text.")
        return labels_of(model, subject.dataset, SampleOptions(condition=condition), n)
    return _rows(subject, model, condition, n)


def _rows(subject: Subject, model: ScoreModel, condition: Any, n: int) -> Tensor:
    """Conditions in the units of the data as those of n rows in the units of the model."""
    if model.condition_shape is None:
        raise DifrunError(
            "condition: this model takes none; it was made for data without one, or trained without."
        )
    values = as_data(condition, "condition").detach().cpu().double()
    if values.ndim == len(model.condition_shape):
        values = values[None]
    known = None if subject.dataset is None else subject.dataset.condition
    if known is not None:
        rows = known.encode(values, "condition")
    else:
        rows = as_condition(values, model.condition_shape).to(torch.float32)
    if len(rows) not in (1, n):
        raise DifrunError(f"condition: {len(rows)} rows for {n} samples; give one for all, or one for each.")
    return rows.expand(n, *rows.shape[1:]).clone()
