"""Processes that die at any moment: a run folder is whole or no run, and what was finished stays.

Each command runs in a fork of a process that has everything imported (`kill_server`), so that hundreds can be killed.
"""

import json
import os
import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from .kill_client import Server
from .support import assert_same_result

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")

TINY = ("--train.batch", "16", "--train.checkpoint-steps", "2", "--n", "24", "--steps", "3", "--threads", "1")
RUNS = {
    "points": (
        "--dataset",
        "points.npz",
        "--train.steps",
        "6",
        "--model.width",
        "8",
        "--metric",
        "sliced-w2",
    ),
    "spins": (
        *("--process", "ising", "--dataset.size", "4,4", "--dataset.n", "100", "--dataset.held-out", "50"),
        *(
            "--train.steps",
            "4",
            "--model.width",
            "4",
            "--model.depth",
            "1",
            "--metric",
            "lattice",
            "--no-likelihood",
        ),
    ),
    "digits": (
        *(
            "--dataset",
            "image-folder",
            "--dataset.folder",
            "scans",
            "--dataset.size",
            "4,4",
            "--dataset.colour",
        ),
        *(
            "grey",
            "--dataset.flat",
            "--model",
            "mlp",
            "--train.steps",
            "4",
            "--model.width",
            "8",
            "--metric",
            "energy",
        ),
    ),
}
RUNS["strings"] = (
    *("--process", "categorical", "--dataset", "markov", "--dataset.length", "6", "--dataset.letters", "3"),
    *("--dataset.n", "100", "--dataset.held-out", "50", "--train.steps", "4"),
    *("--model.width", "8", "--no-likelihood"),
)
KILLS, LATER_KILLS = (13, 3) if os.environ.get("HYPOTHESIS_PROFILE") == "long" else (4, 1)
"""How often a run of each kind, and each later command, is killed."""

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

LATER = {
    "sample": ("--n", "8", "--seed", "5", "--force"),
    "evaluate": (),
    "tune": ("--steps", "2", "--iterations", "1"),
    "compare": ("--sampler", "all", "--steps", "2", "--n", "20", "--out", "compared", "--force"),
    "report": (),
}
"""Commands on a finished run."""


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.process.communicate()


@pytest.fixture(scope="module")
def finished(server, tmp_path_factory):
    """A folder with the data and one finished run of each kind, and the seconds that each took."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("finished")
    rng = np.random.default_rng(0)
    np.savez(folder / "points.npz", x=rng.normal(size=(60, 2)))
    for k in range(60):
        place = folder / "scans" / str(k % 2)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (4, 4), dtype=np.uint8)).save(place / f"{k}.png")
    seconds = {
        kind: server.well(folder, "run", *RUNS[kind], *TINY, "--out", kind)["seconds"] for kind in RUNS
    }
    return folder, seconds


def start(server, cwd, kind, *more, **how):
    return server(cwd, "run", *RUNS[kind], *TINY, "--out", "run", *more, **how)


def is_begun(cwd):
    return (cwd / "run" / "run.toml").is_file()


def go_on(server, cwd, kind):
    """Bring a run to its end after a death: resume it, or start it again if it is no run yet."""
    if is_begun(cwd):
        server.well(cwd, "resume", "run")
    else:
        answer = start(server, cwd, kind)
        assert answer["code"] == 0, answer["said"]


def place(folder, tmp_path):
    """A working folder with the data."""
    shutil.copytree(folder / "scans", tmp_path / "scans", dirs_exist_ok=True)
    shutil.copy(folder / "points.npz", tmp_path)
    return tmp_path


def assert_whole(run):
    """Nothing half-written is left, and every file can be read by another program."""
    left = [path.name for path in run.iterdir() if path.name.startswith(".") or "lock" in path.name]
    assert left == []
    for path in run.glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            assert np.isfinite(file["x"]).all()
    for path in run.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", RUNS)
def test_random_kills_lose_nothing(server, finished, tmp_path, kind):
    """A run is killed at random moments, again and again, and then resumed: the bits of a run never interrupted."""
    folder, seconds = finished
    cwd, rng, lost, mismatched = place(folder, tmp_path), random.Random(kind), [], []
    for number in range(KILLS):
        for _ in range(rng.choice((1, 2))):
            moment = rng.uniform(0, 0.9 * seconds[kind])
            how = {"kill_after": moment, "signals": [rng.choice(SIGNALS)]}
            begun = is_begun(cwd)
            (server(cwd, "resume", "run", **how) if begun else start(server, cwd, kind, **how))
            if begun and not is_begun(cwd):
                lost.append((number, moment))
        go_on(server, cwd, kind)
        try:
            assert_same_result(cwd / "run", folder / kind)
            assert_whole(cwd / "run")
        except AssertionError as error:
            mismatched.append((number, str(error)))
        shutil.rmtree(cwd / "run")
    assert (lost, mismatched) == ([], [])


@pytest.mark.parametrize("kind", RUNS)
def test_kills_of_later_commands_leave_the_run(server, finished, tmp_path, kind):
    """Weights, samples and run.toml stay as they were, and the same command then comes to its end."""
    folder, _ = finished
    cwd, rng = place(folder, tmp_path), random.Random(f"{kind} later")
    shutil.copytree(folder / kind, cwd / "run")
    kept = {
        name: (cwd / "run" / name).read_bytes() for name in ("run.toml", "model.safetensors", "samples.npz")
    }
    for command, options in LATER.items():
        if command == "tune" and kind in ("spins", "strings"):
            continue
        took = server.well(cwd, command, "run", *options)["seconds"]
        for _ in range(LATER_KILLS):
            how = {"kill_after": rng.uniform(0, took), "signals": [rng.choice(SIGNALS)]}
            server(cwd, command, "run", *options, **how)
        server.well(cwd, command, "run", *options)
        assert {name: (cwd / "run" / name).read_bytes() for name in kept} == kept
        assert_whole(cwd / "run")


@pytest.mark.parametrize("force", [False, True])
def test_death_at_some_calls_that_change_the_folder(server, finished, tmp_path, force):
    """Before, after or instead of every third call of the start, where a folder becomes a run, and of one in thirteen.

    The run is new, or (force) replaces another.
    """
    folder, _ = finished
    cwd, more = place(folder, tmp_path), ("--force",) if force else ()
    if force:
        shutil.copytree(folder / "spins", cwd / "run")
    calls = start(server, cwd, "points", *more, count=True)["calls"]
    assert calls > 30
    for place_in_turn, number in enumerate([*range(1, 25, 3), *range(25, calls + 1, 13)]):
        shutil.rmtree(cwd / "run")
        if force:
            shutil.copytree(folder / "spins", cwd / "run")
        moment = ("before", "after", "raise")[place_in_turn % 3]
        died = start(server, cwd, "points", *more, die_at=number, moment=moment)
        # The number of calls varies by a few, so that the last of them may not come.
        assert died["code"] == 77 or (died["code"] == 0 and number > calls - 12), died["said"]
        if force and is_begun(cwd) and 'name = "ising"' in (cwd / "run" / "run.toml").read_text("utf-8"):
            server.well(cwd, "resume", "run")  # the earlier run, as it was
            assert_same_result(cwd / "run", folder / "spins")
            continue
        go_on(server, cwd, "points")
        assert_same_result(cwd / "run", folder / "points")
        assert_whole(cwd / "run")


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 3, [signal.SIGTERM] * 2]
)
def test_signals_at_random_moments_end_in_one_line(server, finished, tmp_path, signals):
    """Exit code 130 or 143, no traceback, and the run resumes."""
    folder, seconds = finished
    cwd, rng = place(folder, tmp_path), random.Random(str(signals))
    expected = 128 + signals[-1]
    for _ in range(4):
        answer = start(
            server, cwd, "points", kill_after=rng.uniform(0, seconds["points"] / 2), signals=signals
        )
        # A signal that comes before the command has begun, or after its end, is not the command's to answer.
        assert answer["code"] in (expected, 0, -signals[-1]), answer["said"]
        go_on(server, cwd, "points")
        assert_same_result(cwd / "run", folder / "points")
        assert_whole(cwd / "run")
        shutil.rmtree(cwd / "run")


def test_a_run_that_is_replaced_while_it_waits_changes_nothing(finished, tmp_path, monkeypatch):
    """Two Runs of one folder in one process stand for two commands: the first was replaced, and writes nothing."""
    import difrun as api
    from difrun.errors import DifrunError

    monkeypatch.chdir(place(finished[0], tmp_path))
    options = {"train": {"steps": 2, "batch": 16}, "sample": {"n": 8, "steps": 2}, "": {"threads": 1}}
    first = api.start(api.resolve({"dataset": "points.npz"}, {**options, "model": {"width": 8}}), "run")
    api.start(api.resolve({"dataset": "points.npz"}, {**options, "model": {"width": 16}}), "run", force=True)
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    with pytest.raises(DifrunError, match="was replaced or changed by another process"):
        first.execute()
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before


def test_examples_that_are_lost_are_restored_or_refused(server, finished, tmp_path):
    """data.safetensors is missing, or is that of another run: SHA-256 in run.toml tells."""
    folder, _ = finished
    cwd = place(folder, tmp_path)
    assert start(server, cwd, "points")["code"] == 0
    data = (cwd / "run" / "data.safetensors").read_bytes()
    (cwd / "run" / "data.safetensors").unlink()
    server.well(cwd, "resume", "run")
    assert_same_result(cwd / "run", folder / "points")
    np.savez(cwd / "points.npz", x=np.random.default_rng(1).normal(size=(60, 2)))
    (cwd / "run" / "data.safetensors").unlink()
    answer = server(cwd, "resume", "run")
    assert answer["code"] == 1
    assert "data.safetensors is missing" in answer["said"]
    assert "has other examples now (SHA-256 differs). Put the file back" in answer["said"]
    server.well(cwd, "run", *RUNS["points"], *TINY, "--out", "other")
    shutil.copy(cwd / "other" / "data.safetensors", cwd / "run")
    answer = server(cwd, "resume", "run")
    assert answer["code"] == 1
    assert "does not hold the examples that the run was made with" in answer["said"]
    (cwd / "run" / "data.safetensors").write_bytes(data)
    server.well(cwd, "resume", "run")
