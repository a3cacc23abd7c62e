"""Run folders near a path: the error for a path without a run, which suggests one, and completion."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from difrun.errors import ConfigError
from difrun.text import closest, listed, quoted

CONFIG = "run.toml"
"""The file that makes a folder a run."""

USUAL = Path("runs")
"""Where `difrun run` puts folders unless it is told otherwise."""

MOST = 1000
"""Entries of a folder that are looked at: more would take too long, and help nobody."""


SHOWN = 3
"""Runs that the error for a path without one names at most."""


def no_run(folder: Path | str, advice: str = "") -> ConfigError:
    """Return the error for a folder without a run.toml, or for a file in the place of a folder.

    It names the run that was probably meant: one in that folder, or one whose name is close.

    Args:
        folder: What was given for a run.
        advice: What to do if no run is like it.
    """
    folder = Path(folder)
    if os.path.isfile(folder) and is_run(folder.parent):  # False for a name that is too long, too
        return ConfigError(f"{folder} is a file of a run: give the folder, {folder.parent}.")
    within = runs_in(folder)
    if within:
        advice = f"It holds {len(within)} runs: give one of them, such as {quoted(within[-1])}."
        if len(within) == 1:
            advice = f"It holds the run {quoted(within[0])}: give that."
    else:
        near = {str(run): run for run in runs_near(folder)}
        by_name = {run.name: run for run in reversed(near.values())}
        guess = near.get(closest(str(folder), near) or "") or by_name.get(closest(folder.name, by_name) or "")
        if guess:
            advice = f"Did you mean '{guess}'?"
        elif not advice:
            advice = "'difrun run' prints the folder that it makes."
            if near:
                advice = (
                    f"Runs nearby: {listed(list(near)[:SHOWN])}{' and others' if len(near) > SHOWN else ''}."
                )
    return ConfigError(f"There is no run in {folder}: {folder / CONFIG} does not exist. {advice}")


def is_run(folder: Path | str) -> bool:
    """Return whether a folder has a run.toml; no for a name that no file can have."""
    return os.path.isfile(os.path.join(folder, CONFIG))


def runs_in(folder: Path) -> list[Path]:
    """Return the run folders in a folder, by name; empty for a folder that cannot be read."""
    return sorted(path for path in _folders_in(folder) if is_run(path))


def runs_near(folder: Path) -> list[Path]:
    """Return the run folders that a path may have meant: those in it, beside it, and in ``runs``."""
    found = [run for place in (folder, folder.parent, USUAL) for run in runs_in(place)]
    return list(dict.fromkeys(found))


def completions(typed: str) -> list[str]:
    """Return what a path that is being typed may become: run folders, and folders that hold some."""
    place = Path(typed) if typed.endswith(("/", os.sep)) else Path(typed).parent
    found = [str(run) for run in runs_in(place)]
    found += [f"{folder}{os.sep}" for folder in sorted(_folders_in(place)) if runs_in(folder)]
    found += [str(run) for run in runs_in(USUAL)]
    return [path for path in dict.fromkeys(found) if path.startswith(typed.removeprefix("./"))]


def _folders_in(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, MOST):
                if entry.is_dir():
                    yield folder / entry.name
    except OSError:
        return
