"""Errors whose text is written for the person at the keyboard."""

from pathlib import Path


class DifrunError(Exception):
    """Something the user can mend. The text says what was wrong, what was expected and what to do.

    The command line prints it without a traceback; from Python it is an ordinary exception.
    """


class ConfigError(DifrunError):
    """A wrong name, option, value or combination; found before any work is done. Exit code 2."""


class Interrupted(DifrunError):
    """The work on the run in `folder` was asked to stop, and stopped where nothing is lost.

    text: where it stopped. outcome: what that leaves, where it is not a run that can be resumed.
    """

    def __init__(self, folder: Path | str, text: str = "Interrupted.", outcome: str = "") -> None:
        self.folder = Path(folder)
        self.outcome = outcome
        super().__init__(text)
