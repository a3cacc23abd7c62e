"""Errors whose text is written for the person at the keyboard."""

from pathlib import Path


class DifrunError(Exception):
    """Something the user can mend. The text says what was wrong, what was expected and what to do.

    The command line prints it without a traceback; from Python it is an ordinary exception.
    """


class ConfigError(DifrunError):
    """A wrong name, option, value or combination; found before any work is done. Exit code 2."""


def no_run(folder: Path | str, config: Path) -> ConfigError:
    """The error for a folder without a run.toml."""
    return ConfigError(
        f"There is no run in {folder}: {config} does not exist. 'difrun run' prints the folder that it makes."
    )


class Interrupted(DifrunError):
    """The work on the run in `folder` was asked to stop, and stopped where nothing is lost.

    text: where it stopped. outcome: what that leaves, where it is not a run that can be resumed. usable: whether
    weights are saved that are not trained to the end, but can be sampled.
    """

    def __init__(
        self, folder: Path | str, text: str = "Interrupted.", outcome: str = "", usable: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.usable = usable
        self.outcome = outcome
        super().__init__(text)


# How torch says, in a plain RuntimeError, that there is no memory left (CPU on Linux and Windows, MPS, cuBLAS).
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "cublas_status_alloc_failed")


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch is not imported to ask for its class, which says so by its name."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in text for words in NO_MEMORY)
    )
