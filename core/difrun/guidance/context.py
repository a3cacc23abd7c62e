"""What a guidance may ask of the run that it steers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from difrun.data.dataset import Dataset


def _ignore(*_: Any) -> None:
    """Do nothing with what is reported."""


def _never() -> bool:
    return False


@attrs.frozen(eq=False)
class Context:
    """The run behind a model, for a guidance that asks for `context`. The process is `model.process`.

    Attributes:
        dataset: The data of the run, with their labels and, where it is known, their distribution.
        folder: The folder of the run. A guidance may save what it has learnt there as ``guidance-*.safetensors``.
            None where there is no folder, as in a comparison of exact models: then save nothing.
        seed: The seed of the run; derive others from it by `difrun.randomness.seed_of`.
        device: Where to compute.
        trial: Whether this is only a trial of the component: refuse what cannot work, train next to nothing, save
            nothing.
        note: Called with a sentence for the user.
        stage: Called with the name of a long part of the work, such as ``train``, before it begins.
        report: Called as `difrun.training.Trainer` reports: (step, steps, loss, steps per second, seconds left).
        stopping: Whether the user has asked to stop. Work in progress should then raise
            `difrun.errors.DifrunError`.
    """

    dataset: Dataset
    folder: Path | None = None
    seed: int = 0
    device: torch.device | str = "cpu"
    trial: bool = False
    note: Callable[[str], Any] = _ignore
    stage: Callable[[str], Any] = _ignore
    report: Callable[[int, int, float, float, float], Any] = _ignore
    stopping: Callable[[], bool] = _never
