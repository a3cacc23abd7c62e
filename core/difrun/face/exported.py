"""`difrun.export`: the model of a run for other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from difrun.face.arguments import listening
from difrun.face.checks import a_path
from difrun.plugin.listener import Listener
from difrun.runs.exporting import DEFAULT, export_run
from difrun.runs.opening import reopen
from difrun.runs.run import Run


def export(
    run: Run | Path | str,
    folder: Path | str,
    format: str = DEFAULT,
    *,
    listener: Listener | Callable[[str], Any] | None = None,
) -> Path:
    """Write the model of a run in a format for other programs: `difrun export`.

    Args:
        run: A trained run, or its folder.
        folder: The folder to write; it must not exist, or be empty.
        format: ``"safetensors"``, or a format that a plugin offers, such as ``"diffusers"``.
        listener: Receives notes, or a function that receives them; None leaves that to the run.

    Returns:
        The folder.

    Raises:
        ConfigError: If there is no such format.
        DifrunError: If the run is not trained, the folder is not empty, or the format cannot hold the model.
    """
    heard = None if listener is None else listening(listener)
    if not isinstance(run, Run):
        a_path("run", run, "a trained run, or ")
    opened = run if isinstance(run, Run) else reopen(run, heard)
    return export_run(opened, folder, format, None if heard is None else heard.note)
