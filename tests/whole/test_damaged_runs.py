"""Runs whose files are damaged, missing, or of another installation: one message, and nothing is changed."""

import json
from unittest import mock

import numpy as np
import pytest

from .support import assert_same_result, difrun

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
