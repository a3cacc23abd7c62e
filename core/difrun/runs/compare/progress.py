"""How far a comparison has come."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from difrun.config.plan import Plan
from difrun.errors import Interrupted
from difrun.plugin.listener import Listener
from difrun.plugin.registry import get_registry
from difrun.plugin.signatures import Lazy
from difrun.runs.environment.telling import hyperparameters, told


class Progress:
    """Counts the sampling steps of all rows, informs the listener, and stops the work when the user asks to.

    Attributes:
        folder: The folder of the results, for the message of an interruption.
        total: The sampling steps of all rows together.
        done: The sampling steps of the rows that are finished.
    """

    def __init__(
        self, listener: Listener, folder: Path, total: int, loggers: Mapping[str, Any] | None = None
    ) -> None:
        """loggers: name of a plugin -> the options of its logger."""
        self.listener, self.folder, self.total = listener, folder, total
        self.loggers = loggers or {}
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

    def tell(self, event: str, **values: Any) -> None:
        """Tell the loggers of an event; see `difrun.plugin.hooks`."""
        get_registry().emit(
            event, settings=self.loggers, folder=self.folder, **{"step": 0, "metrics": {}, **values}
        )

    def told(self, plan: Plan, facts: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Tell the loggers that the comparison in the block begins, and how it ends; plan: of the first run."""
        begin = {
            "plan": plan,
            "config": Lazy(lambda: copy.deepcopy(facts)),
            "hyperparameters": Lazy(lambda: hyperparameters(facts)),
            "steps": 0,
        }
        return told(self.tell, "compare", begin)

    def stop_if_asked(self, *_: Any) -> None:
        """Raise Interrupted if the user asked to stop."""
        if self.listener.stopping():
            raise Interrupted(self.folder)
