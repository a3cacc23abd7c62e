"""Write the model of a run in a format for other programs, by the formats that the installed plugins offer."""

import shutil
from collections.abc import Callable
from pathlib import Path

from difrun.errors import DifrunError
from difrun.plugin.registry import Registered, get_registry
from difrun.runs.environment import faults
from difrun.runs.run import Run
from difrun.text import quoted

DEFAULT = "safetensors"
"""The format that needs nothing but a reader of safetensors and JSON."""


def export_run(
    run: Run, folder: Path | str, form: str = DEFAULT, note: Callable[[str], object] | None = None
) -> Path:
    """Write the model of a run into a new folder, and tell what is left out.

    Args:
        run: The run; it has been trained.
        folder: The folder to write; it must not exist, or be empty.
        form: The name of a format.
        note: Receives what is told; None takes the listener of the run.

    Returns:
        The folder.

    Raises:
        ConfigError: If there is no such format.
        DifrunError: If the run is not trained, the folder is not empty, or the format cannot hold the model.
    """
    entry = get_registry().format(form)
    path = Path(folder)
    if not run.trained:
        raise DifrunError(
            f"{run.path} has not been trained to the end: 'difrun resume {quoted(run.path)}' first; with --finish it "
            "takes the weights that are saved."
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DifrunError(f"{quoted(path)} exists already. Choose another folder.")
    _write(entry, run, path)
    note = note or run.listener.note
    if run.plan.train.ema and run.parts.loss is not None:
        note("the weights are the averaged ones, with which the run samples")
    if run.plan.guides:
        names = ", ".join(chosen.name for chosen in run.plan.guides)
        note(f"the guidance ({names}) is no part of the network and is left out")
    return path


def _write(entry: Registered, run: Run, path: Path) -> None:
    """Call a format; if it fails, whatever that raises, what it has written is removed."""
    try:
        entry.call({"run": run, "folder": path}, {})
        if not path.is_dir() or not any(path.iterdir()):
            raise DifrunError(
                f"{entry} wrote nothing into {quoted(path)}. This is a fault of {entry.plugin.dist}."
            )
    except BaseException as error:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        fault = None if isinstance(error, DifrunError) else faults.named_fault(error, [entry])
        if fault is None:
            raise
        raise fault from error
