"""Make the folder of a new run, so that it is a whole run or none at any moment."""

import contextlib
import os
import re
from os.path import lexists
from pathlib import Path

import tomli_w

from difrun.config.plan import ChosenComponent, Plan
from difrun.data.dataset import Dataset
from difrun.errors import ConfigError, DifrunError
from difrun.runs.folder import dataset as data_file
from difrun.runs.folder import lock
from difrun.runs.folder.layout import Folder
from difrun.storage import atomic
from difrun.storage.tensors import write_tensors
from difrun.text import quoted


def create(path: Path | None, plan: Plan, dataset: Dataset, *, force: bool, torch_version: str) -> Folder:
    """Make a folder with data.safetensors, if the data need it, and run.toml.

    All of it happens under the lock of the folder. Both files are written under other names first, so that a disk that
    is full costs nothing; then an earlier run is removed, its run.toml first; then both are renamed, run.toml last. A
    folder without run.toml is no run, and may be taken again if its process died on the way.

    Args:
        path: The folder; None takes the next free ``runs/<process>-<dataset>-<k>``, with the name of the user's file
            for the dataset.
        plan: What run.toml says.
        dataset: The examples.
        force: Replace a run that is there.
        torch_version: The version of torch, for run.toml.

    Raises:
        DifrunError: If the folder cannot be written, if it holds a run and `force` is not given, if it holds other
            files, or if another process works on it.
    """
    contents = data_file.contents(dataset)
    text = record_text(plan, torch_version, None if contents is None else data_file.digest(*contents))
    try:
        place = _next_free(plan) if path is None else _made(Path(path))
        with lock.hold_lock(place):
            refuse_if_taken(place, force)
            folder = Folder(place)
            _fill(folder, text, contents)
    except OSError as error:
        raise DifrunError(
            f"cannot make the run folder {path or 'runs'}: {error.strerror}. Choose another place for it."
        ) from error
    folder.stamp()
    return folder


def record_text(plan: Plan, torch_version: str, sha256: str | None) -> str:
    """Return the text of run.toml. Raises ConfigError for a name that TOML cannot hold."""
    data = plan.to_dict(torch_version)
    if sha256 is not None:
        data["data"] = {"sha256": sha256}
    text = tomli_w.dumps(data)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = (
            text[max(0, error.start - 30) : error.end + 10]
            .splitlines()[0]
            .encode("utf-8", "replace")
            .decode()
        )
        raise ConfigError(
            f"run.toml holds UTF-8 alone, and a name is not UTF-8: {shown}. Rename that file."
        ) from None
    return text


def _fill(folder: Folder, text: str, contents: data_file.Contents | None) -> None:
    """Replace what is in the folder by data.safetensors and run.toml."""
    try:
        atomic.write_text(folder.starting, text)
        if contents is not None:
            write_tensors(folder.starting_data, *contents)
    except BaseException:
        for file in (folder.starting, folder.starting_data):
            with contextlib.suppress(OSError):
                file.unlink()
        raise
    for file in folder.old_files():
        file.unlink()
    if contents is not None:
        _rename(folder.starting_data, folder.data)
    _rename(folder.starting, folder.config)
    folder.clean()


def _rename(file: Path, target: Path) -> None:
    try:
        os.replace(file, target)
        atomic.sync_folder(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            file.unlink()
        raise DifrunError(
            f"Cannot write {target}: {error.strerror or error}. {atomic.advice(error)}".rstrip()
        ) from error


def refuse_if_taken(path: Path, force: bool) -> None:
    """Raise DifrunError if `create` would refuse the folder. Nothing is written."""
    if lexists(path) and not path.is_dir():
        raise DifrunError(f"{path} is a file; a run needs a folder of its own.")
    if not path.is_dir():
        return
    folder = Folder(path)
    names = {file.name for file in path.iterdir()} - {file.name for file in folder.leftovers()}
    names -= {lock.NAME, lock.NOTE}
    if lexists(folder.config):
        if not force:
            raise DifrunError(
                f"{path} already holds a run. Choose another folder, continue that run with "
                f"'difrun resume {quoted(path)}', or replace it: --force, in Python force=True."
            )
    elif names and not (lexists(folder.starting) and names <= {file.name for file in folder.old_files()}):
        raise DifrunError(f"{path} holds other files and no run. Choose a new or empty folder.")


def _made(path: Path) -> Path:
    if lexists(path) and not path.is_dir():
        raise DifrunError(f"{path} is a file; a run needs a folder of its own.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _next_free(plan: Plan) -> Path:
    stem = f"{plan.process.entry.name}-{_short_name(plan.dataset)}"
    root = Path("runs")
    root.mkdir(exist_ok=True)
    number = 1
    while True:
        try:
            (root / f"{stem}-{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return root / f"{stem}-{number}"


def _short_name(dataset: ChosenComponent) -> str:
    """The dataset in the name of a folder: the component, or the stem of the user's file."""
    path = getattr(dataset.options, "path", None)
    stem = re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") if isinstance(path, Path) else ""
    return stem or dataset.entry.name
