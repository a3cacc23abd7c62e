"""Listeners: objects that follow the progress of a run, and how often they are told."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar("Made")

QUICK = 0.05
"""Seconds that a report may take before the pause to the next one grows."""


class Listener:
    """Follows the progress of a run. This base class does nothing; the one of the command line shows progress."""

    def stage(self, name: str) -> None:
        """A stage begins: train, sample, evaluate, draw, tune N for N steps, compare, likelihood, bound, half-steps."""

    def train(self, step: int, steps: int, loss: float, rate: float, eta: float) -> None:
        """Training has come to a step; rate is in steps per second, eta in seconds."""

    def sample(self, done: int, total: int) -> None:
        """Sampling or comparing has done some of its steps, on average over the chunks of samples.

        In the stage "tune" iterations are counted, in the stage "bound" examples.
        """

    def note(self, text: str) -> None:
        """Something the user should know."""

    def stopping(self) -> bool:
        """Whether the user asked to stop; the run then saves its state and raises Interrupted."""
        return False


class Pace:
    """When the next of many reports is due: some time after the last, and later where reports themselves take long.

    A slow listener so takes no more than a share of the time: with a pause of 0.5 s and reports of any length above
    `QUICK`, one tenth.

    Args:
        seconds: The pause between two reports.
        at_once: Whether the first report is due at once.
    """

    def __init__(self, seconds: float, at_once: bool = False) -> None:
        self.seconds = seconds
        self._due = time.monotonic() + (0.0 if at_once else seconds)

    def is_due(self) -> bool:
        """Return whether it is time for a report."""
        return time.monotonic() >= self._due

    def timed(self, report: Callable[..., Made], *args: Any, **values: Any) -> Made:
        """Make a report, and set the next one by the time that it took; return what it returns."""
        start = time.monotonic()
        made = report(*args, **values)
        end = time.monotonic()
        self._due = end + self.seconds * max(1.0, (end - start) / QUICK)
        return made
