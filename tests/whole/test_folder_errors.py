"""Folders that cannot be written, disks that are full, files that are damaged: one message, and nothing is lost."""

import errno
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from .support import (
    SMALL,
    assert_same_result,
    difrun,
    environ,
    hidden,
    saved_step,
    without_pictures,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    with without_pictures():
        difrun("run", *SMALL, "--out", folder)
    return folder


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("sample", "RUN", "--out", "foo.csv"), "samples are written as .npz"),
        (("sample", "RUN", "--out", "nodir/foo.npz"), "there is no folder nodir"),
        (("run", "--out", "RUN", "--threads", "auto"), "already holds a run"),
        (("run", "--dataset", "nofile.csv"), "nofile.csv"),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_told(finished, here, monkeypatch, command, message):
    """No note of a seed or of defaults, and no rehearsal of threads, for work that is not done."""
    if command[0] == "run":
        start = importlib.import_module("difrun.runs.start")
        monkeypatch.setattr(start, "with_threads", lambda *_: pytest.fail("threads were rehearsed"))
    said = difrun(*(finished if word == "RUN" else word for word in command), code=1)
    assert said.startswith("Error: "), said
    assert message in said


def test_an_untrained_run_is_not_sampled_and_not_talked_about(here):
    with mock.patch("difrun.runs.run.Run.execute"):
        difrun("run", *SMALL, "--out", "begun")
    said = difrun("sample", "begun", code=1)
    assert said.startswith("Error: begun has not been trained to the end."), said


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The temporary folder as the working one; nothing is drawn."""
    monkeypatch.chdir(tmp_path)
    with without_pictures():
        yield tmp_path


@pytest.fixture
def run(finished, here):
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(finished, "run"))


@pytest.mark.parametrize("place", ["file/run", "/proc/difrun", "/dev/null/run"])
def test_a_folder_that_cannot_be_made(here, place):
    """Not even by root, who may write anywhere else."""
    (here / "file").write_text("mine", encoding="utf-8")
    said = difrun(*SMALL, "--out", place, code=1)
    assert f"Error: cannot make the run folder {place}: " in said
    assert "Choose another place for it." in said
    assert (here / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("failing", ["mkdir", "open"])
def test_no_permission_to_write(here, monkeypatch, failing):
    from difrun.storage import atomic

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    if failing == "mkdir":
        monkeypatch.setattr(Path, "mkdir", refuse)
    else:
        monkeypatch.setattr(atomic, "open", refuse, raising=False)
    said = difrun(*SMALL, "--out", "x", code=1)
    assert "Permission denied" in said
    advice = {
        "mkdir": "Choose another place for it.",
        "open": "Choose another folder, or change its permissions.",
    }
    assert advice[failing] in said


def full(monkeypatch, name, times):
    """The disk is full for files of this name; times = (skip, count): not for the first `skip`, then for `count`."""
    replace, (skip, count), seen = os.replace, times, []

    def fail(source, target):
        if Path(target).name == name:
            seen.append(target)
            if skip < len(seen) <= skip + count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)


def test_a_full_disk_during_training_costs_nothing(finished, here, monkeypatch):
    """Checkpoints of steps 40 to 80 cannot be written; later there is room again."""
    full(monkeypatch, "model.safetensors", (1, 3))
    said = difrun(*SMALL, "--out", "x")
    for step in (40, 60, 80):
        assert f"Note: The state after step {step} is not saved; training goes on. Cannot write" in said
    assert "No space left on device. The earlier file is intact." in said
    assert "after step 100" not in said
    assert_same_result(here / "x", finished)


def test_a_disk_that_stays_full_leaves_the_earlier_checkpoint(finished, here, monkeypatch):
    with monkeypatch.context() as patch:
        full(patch, "model.safetensors", (1, 99))
        said = difrun(*SMALL, "--out", "x", code=1)
    error = said[said.index("Error:") :]
    assert (
        "Cannot write x/model.safetensors (0.1 MB): No space left on device. The earlier file is intact."
        in error
    )
    assert "Training had come to step 120, which is not saved." in error
    assert "'difrun resume x' continues from the last saved state." in error
    assert saved_step(here / "x") == 20
    assert hidden(here / "x") == []
    difrun("resume", "x")
    assert_same_result(here / "x", finished)


@pytest.mark.parametrize("name", ["run.toml", "samples.npz", "metrics.json", "samples.png", "report.html"])
def test_a_full_disk_after_training(finished, tmp_path, monkeypatch, name):
    """One message that names the file; `resume` does the rest."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        full(patch, name, (0, 1))
        if name != "samples.png":
            patch.setattr("difrun.runs.report.standard_pictures.draw_all", lambda run, **_: [])
        said = difrun(*SMALL, "--out", run, code=1)
    assert f"{run / name}" in said
    assert "No space left on device" in said
    assert hidden(run) == []
    assert not (run / name).exists()
    with without_pictures():
        if name == "run.toml":
            difrun(*SMALL, "--out", run)
        else:
            assert saved_step(run) == 120
            difrun("resume", run)
    assert_same_result(run, finished)


def test_a_real_limit_on_the_size_of_files(here):
    """The kernel refuses files of more than 20 kB: run.toml fits, a checkpoint does not."""
    command = [sys.executable, "-c", "from difrun.cli import main; main()", "run", *SMALL, "--out", "x"]
    done = subprocess.run(
        command,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 1, done.stderr
    assert "Note: The state after step 20 is not saved; training goes on." in done.stderr
    assert "Error: Cannot write x/model.safetensors (0.1 MB): File too large." in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in (here / "x").iterdir()} == {"run.toml"}


def test_an_existing_folder(run, here):
    """A run is replaced only with --force, anything else not at all."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    said = difrun(*SMALL, "--out", run, code=1)
    assert f"Error: {run} already holds a run." in said
    assert f"'difrun resume {run}'" in said
    assert "--force" in said
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("all of it", encoding="utf-8")
    said = difrun(*SMALL, "--out", "mine", "--force", code=1)
    assert "Error: mine holds other files and no run. Choose a new or empty folder." in said
    assert [path.name for path in (here / "mine").iterdir()] == ["thesis.txt"]
    said = difrun(*SMALL, "--out", "mine/thesis.txt", "--force", code=1)
    assert "Error: mine/thesis.txt is a file" in said


def test_a_folder_with_nothing_but_a_half_written_file_is_free(here):
    """A run killed before its run.toml was there."""
    (here / "x").mkdir()
    (here / "x" / ".run.toml.part").write_bytes(b"seed =")
    difrun(*SMALL[2:], "--train.steps", 1, "--out", "x")
    assert hidden(here / "x") == []


DAMAGES = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "other": lambda data: b"<html>not found</html>" * 20,
    "flipped": lambda data: data[:60] + bytes(byte ^ 0xFF for byte in data[60:90]) + data[90:],
}


@pytest.mark.parametrize(
    ("name", "command", "code"),
    [
        ("model.safetensors", "sample", 1),
        ("model.safetensors", "resume", 1),
        ("samples.npz", "evaluate", 1),
        ("samples.npz", "report", 1),
        ("metrics.json", "evaluate", 1),
        ("metrics.json", "report", 1),
        ("metrics.json", "resume", 1),
        ("run.toml", "sample", 2),
        ("run.toml", "report", 2),
    ],
)
@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_files(run, name, command, code, how):
    """The message names the file; the file is left for the user to look at."""
    path = run / name
    damaged = DAMAGES[how](path.read_bytes())
    path.write_bytes(damaged)
    # An empty run.toml is a valid one, with every default: then it is the weights that do not fit.
    empty_plan = how == "empty" and name == "run.toml"
    with mock.patch("difrun.runs.report.standard_pictures.draw_all", lambda run, **_: [run.samples]):
        said = difrun(command, run, code=1 if empty_plan else code)
    last = said.splitlines()[-1]
    assert last.startswith("Error: ")
    assert ("The saved state does not fit this network" if empty_plan else str(path)) in last
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("content", ["[]", "3", '{"metrics": 3}', '{"metrics": {}, "samples": []}'])
def test_metrics_of_another_form(run, content):
    (run / "metrics.json").write_text(content, encoding="utf-8")
    assert "metrics.json is damaged" in difrun("evaluate", run, code=1)
    (run / "metrics.json").unlink()
    difrun("evaluate", run)
    assert list(json.loads((run / "metrics.json").read_text(encoding="utf-8"))["metrics"]) == ["sliced-w2"]


def test_samples_of_another_run(run, finished):
    """Three columns where the data have two; without the file `resume` draws the same samples again."""
    np.savez(run / "samples.npz", x=np.zeros((400, 3), np.float32))
    assert "expected an .npz file with an array x of shape (n, 2)" in difrun("evaluate", run, code=1)
    (run / "samples.npz").unlink()
    difrun("resume", run)
    assert_same_result(run, finished)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'difrun-ou = "',
            'difrun-gone = "',
            "Error: run/run.toml names plugin difrun-gone 0.1.0, which is not installed.",
        ),
        (
            'name = "ou"',
            'name = "gone"',
            "Invalid value for process.name in run/run.toml: no process is called",
        ),
        (
            "theta = 1.0",
            "theta = -1.0",
            "Invalid value for process.theta in run/run.toml: must be >= 1e-09, <= 1e+06; got -1",
        ),
        ("theta = 1.0", "tehta = 1.0", "process 'ou' has no 'tehta'. Did you mean 'theta'?"),
    ],
)
@pytest.mark.parametrize("command", ["sample", "evaluate", "resume", "report"])
def test_a_run_toml_that_does_not_fit_this_installation(run, command, old, new, message):
    text = (run / "run.toml").read_text(encoding="utf-8")
    assert old in text
    (run / "run.toml").write_text(text.replace(old, new), encoding="utf-8")
    assert message in difrun(command, run, code=2)


@pytest.mark.parametrize("command", ["sample", "evaluate", "report"])
def test_a_run_that_is_not_trained(run, command):
    (run / "model.safetensors").unlink()
    said = difrun(command, run, code=1)
    assert "Error: run has not been trained to the end. Run 'difrun resume run' first." in said


@pytest.mark.parametrize("command", ["sample", "evaluate", "report", "resume"])
def test_a_folder_that_is_no_run(here, command):
    (here / "empty").mkdir()
    for place in ("gone", "empty"):
        said = difrun(command, place, code=2)
        assert f"There is no run in {place}: {place}/run.toml does not exist." in said
