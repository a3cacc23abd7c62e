"""Errors whose text is written for the person at the keyboard."""

from pathlib import Path


class DifrunError(Exception):
    """Something the user can mend. The text says what was wrong, what was expected and what to do.

    The command line prints it without a traceback; from Python it is an ordinary exception.
    """


class ConfigError(DifrunError):
    """A wrong name, option, value or combination; found before any work is done. Exit code 2."""


class Interrupted(DifrunError):
    """A run was asked to stop, saved its state in `folder` and can be resumed."""

    def __init__(self, folder: Path | str, text: str = "") -> None:
        self.folder = Path(folder)
        super().__init__(text or f"Interrupted. Continue with: difrun resume {self.folder}")
