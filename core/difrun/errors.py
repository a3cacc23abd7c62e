"""Errors whose text is written for the user."""

from pathlib import Path


class DifrunError(Exception):
    """An error that the user can correct. The text says what is wrong, what was expected and what to do.

    The command line prints it without a traceback; from Python it is an ordinary exception.
    """


class ConfigError(DifrunError):
    """A wrong name, option, value or combination, found before any work is done. Exit code 2."""


class OptionError(ConfigError, ValueError):
    """Options of a component that do not go together, or a value that one cannot have.

    Options classes raise it. A run adds where the options were given.
    """


class Interrupted(DifrunError):
    """The work on a run was interrupted, at a point where nothing is lost.

    Args:
        folder: The folder of the run.
        text: Where the work stopped.
        outcome: What was saved, if it is not a run that can be resumed.
        usable: Whether the saved weights can be sampled, although their training is not finished.
    """

    def __init__(
        self, folder: Path | str, text: str = "Interrupted.", outcome: str = "", usable: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.usable = usable
        self.outcome = outcome
        super().__init__(text)


class StoppedByUser(KeyboardInterrupt):
    """What the signals of the command line raise; any other KeyboardInterrupt there is raised by code."""


# What torch writes into a plain RuntimeError when memory runs out (CPU on Linux and Windows, MPS, cuBLAS).
NO_MEMORY = (
    *("can't allocate memory", "not enough memory", "out of memory", "cublas_status_alloc_failed"),
    "storage size calculation overflowed",
)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out."""
    # Classes of torch are compared by name, because importing torch would slow down every error.
    try:
        text = str(error).lower()
    except BaseException:  # the text is the work of whoever raises
        text = ""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in text for words in NO_MEMORY)
    )
