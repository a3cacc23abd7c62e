"""Processes that die at any moment: a run folder is whole or no run, and what was finished stays.

Each command runs in a fork of a process that has everything imported (`kill_server`), so that hundreds can be killed.
"""

import os
import random
import shutil
import signal
import tomllib
from pathlib import Path

import numpy as np
import pytest

from .kill_client import RUNS, TINY, Server, assert_whole, go_on, is_begun, place, start
from .support import assert_same_result

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
KILLS, LATER_KILLS = (13, 3) if LONG else (4, 1)
"""How often a run of each kind, and each later command, is killed."""

MOMENTS = ("before", "after", "raise")
"""When a process dies at a call: before it, after it, or by an exception in its place."""

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


def deaths(calls):
    """Every call; in CI a third of the first 24, where a folder becomes a run, then one in 13.

    Death after a call leaves what death before the next one does, so the complete set has no "after" but the last.
    """
    if LONG:
        every = [(number, moment) for number in range(1, calls + 1) for moment in ("before", "raise")]
        return [*every, (calls, "after")]
    chosen = [*range(1, 25, 3), *range(25, calls + 1, 13)]
    return [(number, MOMENTS[turn % 3]) for turn, number in enumerate(chosen)]


@pytest.mark.parametrize(
    ("kind", "force"), [(kind, force) for kind in (RUNS if LONG else ["points"]) for force in (False, True)]
)
def test_death_at_calls_that_change_the_folder(server, finished, tmp_path, kind, force):
    """Before, after or instead of calls that rename, open, link, flush, make folders or remove (`deaths`).

    The run is new, or (force) replaces another.
    """
    folder, _ = finished
    cwd, more = place(folder, tmp_path), ("--force",) if force else ()
    other = "points" if kind == "spins" else "spins"
    if force:
        shutil.copytree(folder / other, cwd / "run")
    calls = start(server, cwd, kind, *more, count=True)["calls"]
    assert calls > 30
    died, lost, mismatched = 0, [], []
    for number, moment in deaths(calls):
        shutil.rmtree(cwd / "run", ignore_errors=True)
        if force:
            shutil.copytree(folder / other, cwd / "run")
        answer = start(server, cwd, kind, *more, die_at=number, moment=moment)
        # The number of calls varies by a few, so that the last of them may not come.
        assert answer["code"] == 77 or (answer["code"] == 0 and number > calls - 12), answer["said"]
        died += answer["code"] == 77
        is_earlier = force and is_begun(cwd) and process_of(cwd / "run") == process_of(folder / other)
        expected = other if is_earlier else kind
        try:
            go_on(server, cwd, expected)
        except AssertionError as error:
            lost.append((number, moment, str(error)))
            continue
        try:
            assert_same_result(cwd / "run", folder / expected)
            if not is_earlier:
                assert_whole(cwd / "run")
        except AssertionError as error:
            mismatched.append((number, moment, str(error)))
    print(f"{kind}, {'replacing a run' if force else 'new'}: {calls} calls, {died} deaths")
    assert (lost, mismatched) == ([], [])


def process_of(run):
    return tomllib.loads((run / "run.toml").read_text("utf-8"))["process"]["name"]


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
