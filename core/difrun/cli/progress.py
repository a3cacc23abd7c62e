"""Progress on the terminal, and the signals that stop a run."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from difrun.cli import signals
from difrun.cli.tell import tell
from difrun.plugin import listener

LINE_EVERY = 5.0  # seconds between progress lines where there is no terminal
REDRAW_EVERY = 0.1  # and between two states of the live line

LOST = (OSError, ValueError, RuntimeError)
"""What is raised by words that stderr does not take: it is closed, full, or has no reader. The work goes on."""

STAGES = {
    "train": "Training",
    "sample": "Sampling",
    "evaluate": "Measuring",
    "draw": "Drawing",
    "tune": "Tuning",
    "likelihood": "Likelihood: probability flow",
    "bound": "Likelihood: bound",
    "half-steps": "Likelihood: probability flow with half the steps",
    "compare": "Comparing",
}

UNITS = {"bound": "examples", "tune": "iterations"}


class Listener(listener.Listener):
    """Progress on stderr: a live line on a terminal, else a line every few seconds; nothing if quiet."""

    def __init__(self, quiet: bool = False, live: bool | None = None, saves: bool = True) -> None:
        """live: whether stderr is a terminal; None checks. saves: whether interrupted work saves its state."""
        self.quiet = quiet
        self.saves = saves
        self.live = _is_terminal(sys.stderr) if live is None else live
        self._bar: Any = None
        self._name = ""
        self._last_line = time.monotonic()
        self._asked_to_stop = False
        self._held_back: list[str] | None = None

    @contextmanager
    def refusing_first(self) -> Iterator[None]:
        """Hold back notes until a stage begins or the block succeeds, so that an early error is shown alone."""
        self._held_back = []
        try:
            yield
            self._release_notes()
        finally:
            self._held_back = None

    def stage(self, name: str) -> None:
        """A new part of the work begins."""
        self._release_notes()
        self.close()
        kind, _, steps = name.partition(" ")
        self._name = kind if steps.isdigit() else name
        self._last_line = time.monotonic()
        of = f" for {steps} steps" if self._name != name else ""
        self._say(f"{STAGES.get(self._name, self._name)}{of} ...")

    def note(self, text: str) -> None:
        """Something that the user should know."""
        if self._held_back is not None:
            self._held_back.append(text)
        else:
            self._say(f"Note: {text}")

    def _release_notes(self) -> None:
        notes, self._held_back = self._held_back or [], None
        for text in notes:
            self.note(text)

    def train(self, step: int, steps: int, loss: float, rate: float, eta: float) -> None:
        """Show the progress of training; rate is in steps per second, eta in seconds."""
        self._progress(step, steps, f"loss {loss:.4g}, {_rate(rate)} steps/s, {_duration(eta)} left")

    def sample(self, done: int, total: int) -> None:
        """Show how many of the steps of a stage are done, or how many of its `UNITS`."""
        self._progress(done, total, UNITS.get(self._name, "steps"))

    def stopping(self) -> bool:
        """Whether the user has asked to stop."""
        return self._asked_to_stop

    def close(self) -> None:
        """End the live line."""
        if self._bar is not None:
            with contextlib.suppress(*LOST):
                self._bar.close()
            self._bar = None

    def _progress(self, done: int, total: int, more: str) -> None:
        if self.quiet:
            return
        if self.live:
            with contextlib.suppress(*LOST):
                self._live(done, total, more)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY or done >= total:
            self._last_line = now
            self._say(f"  {done}/{total}" + (f"  {more}" if more else ""))

    def _live(self, done: int, total: int, more: str) -> None:
        if self._bar is None or self._bar.total != total:
            from tqdm import tqdm

            self.close()
            layout = "  {percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt}{postfix}"
            # A terminal of unknown width says 0; get_terminal_size then says 80.
            width = min(shutil.get_terminal_size().columns, 100)
            self._bar = tqdm(total=total, bar_format=layout, file=sys.stderr, ncols=width)
        now = time.monotonic()
        if now - self._last_line < REDRAW_EVERY and done < total:
            return
        self._last_line = now
        self._bar.n = done
        self._bar.set_postfix_str(more, refresh=False)
        self._bar.refresh()

    def _say(self, text: str) -> None:
        if self.quiet:
            return
        if self._bar is not None:
            with contextlib.suppress(*LOST):
                self._bar.clear()
        tell(text)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks to save and stop (`stopping`), the second stops at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self._asked_to_stop:
                signals.stop_now(number)
                return
            signals.notice(number)
            self._asked_to_stop = True
            self._say(f"Stopping{': saving first' if self.saves else ''}. Once more stops at once.")

        try:
            with signals.handled_by(stop):
                yield
        finally:
            self.close()


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):  # closed
        return False


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    if not 0 <= seconds < 1e9:  # not known yet
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
