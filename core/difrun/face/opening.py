"""`difrun.reopen`, and where a model computes."""

from pathlib import Path
from typing import Any

from difrun.config.run_options import GeneralOptions, Threads
from difrun.errors import ConfigError
from difrun.face.arguments import Heard, listening
from difrun.face.checks import a_path
from difrun.options.attrs_fields import build
from difrun.options.given import GivenValue
from difrun.runs import opening
from difrun.runs.run import Run


def reopen(
    folder: Path | str,
    listener: Heard = None,
    device: str | None = None,
    threads: Threads = None,
    **given: Any,
) -> Run:
    """Open the run in a folder, with its weights if it has been trained.

    Nothing else is needed: examples that came from a user's file or from another run are in the folder.

    Args:
        folder: The run folder.
        listener: Receives notes and progress, or a function that receives the notes; None: nobody.
        device: The device, instead of the one in run.toml.
        threads: The number of CPU threads, instead of the one in run.toml.
        **given: Kind -> a class or an object of yours that the run was made with, such as ``process=MyProcess``; a
            list of them for ``guidance`` and ``metric``. Installed components are found by their names.

    Raises:
        ConfigError: If there is no run in the folder, or an argument is not what it should be.
        DifrunError: If its files are damaged, a component is not installed, or what is given is not what run.toml
            names.
    """
    if folder is None:
        raise ConfigError("Invalid value for folder: expected the path of a run; got None.")
    a_path("folder", folder)
    check_place(device, threads)
    return opening.reopen(folder, listening(listener), device=device, threads=threads, **given)


def check_place(device: Any, threads: Any) -> None:
    """Raise ConfigError unless a device and a number of threads are such as the options of the run; None is neither."""
    given = {"device": device, "threads": threads}
    values = {name: GivenValue(value, f"{name}=") for name, value in given.items() if value is not None}
    build(GeneralOptions, values, "the run")
