"""Runs for tests: the command in this process, a subprocess that waits where it is told, and what a run leaves."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from safetensors.numpy import load_file

from difrun.errors import DifrunError
from difrun.plugin import get_registry
from difrun.plugin.registered import Registered
from difrun.storage import atomic

SMALL = (
    *("--train.steps", "120", "--train.batch", "64", "--train.checkpoint-steps", "20", "--model.width", "16"),
    *("--n", "400", "--steps", "5", "--metric", "sliced-w2", "--threads", "1"),
)
"""A run of a second. One thread: sums in another order would differ in the last bit."""

FEW_STEPS = (
    "--train.steps",
    5,
    "--model.width",
    16,
    "--n",
    100,
    "--steps",
    2,
    "--threads",
    1,
    "--metric",
    "energy",
)
"""A training that teaches nothing, and two steps of sampling."""

PAUSE = """
import importlib, pathlib, sys, time
from difrun.cli import main

place, count, marker, *arguments = sys.argv[1:]
module, _, path = place.partition(":")
owner = importlib.import_module(module)
*parents, name = path.split(".")
for parent in parents:
    owner = getattr(owner, parent)
original, marker, calls = getattr(owner, name), pathlib.Path(marker), 0

def wait(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(count):
        marker.touch()
        while marker.exists():
            time.sleep(0.005)
    return original(*args, **kwargs)

setattr(owner, name, wait)
main(arguments)
"""
"""The command, which waits at the start of call number `count` of a function for as long as `marker` is there."""


def environ() -> dict[str, str]:
    """The environment of the caller without its DIFRUN_*, and with one thread of the CPU, where bits are equal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIFRUN_")}
    return {**kept, "OMP_NUM_THREADS": "1", "DIFRUN_DEVICE": "cpu", "COLUMNS": "200"}


def difrun(*arguments: object, code: int = 0) -> str:
    """Run the command in this process; returns what it prints and says. Its exit code must be `code`.

    Anything but an exit is raised: that would be a traceback.
    """
    found, said = attempt(*arguments)
    assert found == code, said
    return said


def attempt(*arguments: object) -> tuple[int, str]:
    """Run the command in this process; returns its exit code, and what it prints and says.

    Anything but an exit is raised: that would be a traceback.
    """
    from difrun.cli import main

    said = io.StringIO()
    with (
        mock.patch.dict(os.environ, environ(), clear=True),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        pytest.raises(SystemExit) as stopped,
    ):
        main([str(argument) for argument in arguments])
    return stopped.value.code or 0, said.getvalue()


@contextlib.contextmanager
def without_pictures() -> Iterator[None]:
    """Reports without pictures, which take longer to draw than all the rest of a small run."""
    with mock.patch("difrun.runs.report.standard_pictures.draw_all", return_value=[]):
        yield


@contextlib.contextmanager
def paused(folder: Path, place: str, count: int, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command in a subprocess that has come to call number `count` of `place` ("module:function") and waits."""
    marker = folder / "waiting"
    child = subprocess.Popen(
        [sys.executable, "-c", PAUSE, place, str(count), str(marker), *map(str, arguments)],
        env=environ(),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(marker.exists, child)
        yield child
    finally:
        marker.unlink(missing_ok=True)
        child.kill()
        child.communicate()


def until(happened, child: subprocess.Popen[str], seconds: float = 120) -> None:
    """Wait until something has happened; fail when the subprocess ends before."""
    end = time.monotonic() + seconds
    while not happened():
        if child.poll() is not None or time.monotonic() > end:
            raise AssertionError(
                f"the subprocess did not come so far: {child.returncode} {child.communicate()}"
            )
        time.sleep(0.002)


def weights(folder: Path) -> dict[str, np.ndarray]:
    """The tensors of model.safetensors, without the one that holds the time taken."""
    tensors = load_file(folder / "model.safetensors")
    del tensors["seconds"]
    return tensors


def saved_step(folder: Path) -> int | None:
    """The training step that model.safetensors holds; None where there is no such file."""
    return int(weights(folder)["step"]) if (folder / "model.safetensors").is_file() else None


def samples(folder: Path, name: str = "samples.npz") -> np.ndarray:
    """The array x of a file of samples."""
    with np.load(folder / name, allow_pickle=False) as file:
        return file["x"]


def facts(folder: Path) -> dict:
    """metrics.json without the times taken."""
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for part, keys in {"samples": ("seconds",), "training": ("seconds", "steps_per_second")}.items():
        for key in keys:
            content.get(part, {}).pop(key, None)
    return content


def assert_same_result(folder: Path, other: Path) -> None:
    """Weights, state of training, samples and metrics are equal bit for bit."""
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        np.testing.assert_array_equal(tensor, theirs[name], err_msg=name)
    np.testing.assert_array_equal(samples(folder), samples(other))
    assert facts(folder) == facts(other)


def hidden(folder: Path) -> list[str]:
    """Names of hidden files, such as half-written ones."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def unfinished(folder: Path) -> list[str]:
    """Names of the files that were being written when a process was killed."""
    return sorted(filter(None, map(atomic.name_of_leftover, folder.iterdir())))


def plugin(site: Path, dist: str, code: str) -> None:
    """A distribution with one entry-point module, in a folder to be put on the path."""
    module = dist.replace("-", "_")
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n", encoding="utf-8")
    entry = f"[difrun]\n{dist.removeprefix('difrun-')} = {module}\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")


class References(HTMLParser):
    """What a page would load, and its text."""

    def __init__(self):
        super().__init__()
        self.links, self.tags, self.text = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [
            (tag, v) for k, v in attrs if k in ("src", "href", "srcset", "data", "poster", "action") and v
        ]
        self.links += [(tag, v) for k, v in attrs if k == "style" and v and "url(" in v]

    def handle_data(self, data):
        self.text.append(data)


def processes_made_alone() -> list[Registered]:
    """The installed processes that need no option: not that of a table, which has its own tests."""
    found = []
    for entry in get_registry().entries("process"):
        with contextlib.suppress(DifrunError):
            entry.load()()
            found.append(entry)
    return found
