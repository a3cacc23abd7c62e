"""What a guidance may ask of the run that it steers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from difrun.data.dataset import Dataset


def _nothing(*_: Any) -> None:
    """Hears and says nothing."""


@attrs.frozen(eq=False)
class Context:
    """The run behind a model, for a guidance that provides `context`. The process is that of the model.

    dataset: the data of the run, with their labels and, where it is known, their distribution.
    folder: of the run, where a guidance may keep what it has learnt as ``guidance-*.safetensors``; None where there
        is none, as in a comparison of exact models: keep nothing then.
    seed: of the run; derive others from it by `difrun.randomness.seed_of`.
    device: where to compute.
    trial: whether this is only a trial of the component: refuse what cannot work, train next to nothing, keep nothing.
    note: called with a sentence for the user.
    stage: called with the name of a long part of the work, such as ``train``, before it begins.
    report: called as `difrun.training.Trainer` reports: (step, steps, loss, steps per second, seconds left).
    stopping: whether the user has asked to stop; what is under way should then raise `difrun.errors.DifrunError`.
    """

    dataset: Dataset
    folder: Path | None = None
    seed: int = 0
    device: torch.device | str = "cpu"
    trial: bool = False
    note: Callable[[str], Any] = _nothing
    stage: Callable[[str], Any] = _nothing
    report: Callable[[int, int, float, float, float], Any] = _nothing
    stopping: Callable[[], bool] = bool
