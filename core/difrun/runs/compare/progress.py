"""How far a comparison has come."""

from pathlib import Path
from typing import Any

from difrun.errors import Interrupted
from difrun.listener import Listener


class Progress:
    """Counts the sampling steps of all rows, informs the listener, and stops the work when the user asks to.

    Attributes:
        folder: The folder of the results, for the message of an interruption.
        total: The sampling steps of all rows together.
        done: The sampling steps of the rows that are finished.
    """

    def __init__(self, listener: Listener, folder: Path, total: int):
        self.listener, self.folder, self.total = listener, folder, total
        self.done = 0
        self._notes: set[str] = set()

    def add(self, steps: int) -> None:
        """Count the steps of a finished row."""
        self.done += steps

    def report(self, steps: float) -> None:
        """Report how many steps of the present row are done. Raises Interrupted if the user asked to stop."""
        self.listener.sample(self.done + int(steps), self.total)
        self.stop_if_asked()

    def note_once(self, text: str) -> None:
        """Show a note that holds for every run, the first time only."""
        if text not in self._notes:
            self._notes.add(text)
            self.listener.note(text)

    def stop_if_asked(self, *_: Any) -> None:
        """Raise Interrupted if the user asked to stop."""
        if self.listener.stopping():
            raise Interrupted(self.folder)
