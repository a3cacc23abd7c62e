"""Measuring what a run has drawn: other files, more samples than there are, and texts that say of what a number is."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from .support import FEW_STEPS, difrun, facts, samples, without_pictures

EXACT = (
    "--model",
    "exact",
    "--dataset",
    "blobs",
    "--sampler",
    "heun",
    "--grid",
    "rho",
    "--n",
    300,
    "--steps",
    10,
    "--threads",
    1,
)
METRICS = ("--metric", "sliced-w2", "--metric", "energy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run without training and without pictures."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    with without_pictures():
        difrun("run", *EXACT, *METRICS, "--out", folder)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in finished.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def measured(path):
    return json.loads(path.read_text(encoding="utf-8"))["metrics"]


def test_a_file_of_samples_is_measured_as_the_runs_own_are(run, tmp_path):
    """The run's own samples in another file give the run's own numbers, and change nothing in its folder."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    other = tmp_path / "other.npz"
    other.write_bytes((run / "samples.npz").read_bytes())
    said = difrun("evaluate", run, "--samples", other)
    assert said.splitlines()[-1] == f"Metrics: {tmp_path / 'other.metrics.json'}"
    found = measured(tmp_path / "other.metrics.json")
    assert {number.pop("of") for number in found.values()} == {"other.npz"}
    own = facts(run)["metrics"]
    assert {number.pop("of") for number in own.values()} == {"samples.npz"}
    assert found == own
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_samples_of_another_program_can_be_measured(run, tmp_path, suffix):
    """Shifted by 20 in one direction: W₂ of a shift by v is |v·θ|, and the mean square over directions is |v|²/2.

    Numbers of samples in the two blobs, and directions, move the distance by about its floor, 0.8.
    """
    path = tmp_path / f"theirs{suffix}"
    x = samples(run) + np.array([20.0, 0.0])
    np.save(path, x) if suffix == ".npy" else np.savetxt(path, x, delimiter=",")
    difrun("evaluate", run, "--samples", path, "--metric", "sliced-w2", "--n", 200)
    found = measured(tmp_path / "theirs.metrics.json")["sliced-w2"]
    assert (found["n"], list(measured(tmp_path / "theirs.metrics.json"))) == (200, ["sliced-w2"])
    assert abs(found["value"] - 20 / math.sqrt(2)) < 3 * found["floor"] < 5


@pytest.mark.parametrize(
    ("make", "more", "message"),
    [
        (lambda p: np.savez(p, y=np.zeros((30, 2))), (), "has no array 'x'. Its arrays: y."),
        (lambda p: np.savez(p, x=np.zeros((30, 3))), (), "samples of shape (30, 3) cannot be measured"),
        (lambda p: np.savez(p, x=np.zeros((30, 2))), ("--n", 31), "holds 30 samples, fewer than --n 31."),
        (
            lambda p: np.savez(p, x=np.zeros((30, 2)), columns=np.array(["a", "b"])),
            (),
            "has the columns a, b; the data of the run have x, y.",
        ),
        (lambda p: None, (), "does not exist"),
    ],
)
def test_files_that_cannot_be_measured(run, tmp_path, make, more, message):
    path = tmp_path / "bad.npz"
    make(path)
    said = difrun("evaluate", run, "--samples", path, *more, code=1)
    assert message in said
    assert not path.with_suffix(".metrics.json").exists()


def test_more_samples_than_the_run_has_are_kept_and_named(run):
    """metrics.json says which file a number is of, and the report says it too; samples.npz and its facts stay."""
    before = facts(run)
    said = difrun("evaluate", run, "--metric", "energy", "--n", 500)
    (path,) = run.glob("samples-heun-rho-10-n500-seed0-*.npz")
    assert f"the run has fewer than 500 samples; 500 are drawn into {path}" in said
    after = facts(run)
    assert after["samples"] == before["samples"]
    assert (after["metrics"]["energy"]["n"], after["metrics"]["energy"]["of"]) == (500, path.name)
    assert after["metrics"]["sliced-w2"] == before["metrics"]["sliced-w2"]
    np.testing.assert_array_equal(samples(run, path.name)[:300], samples(run))
    assert f"Measured on the samples in {path.name}: energy." in (run / "report.html").read_text(
        encoding="utf-8"
    )
    # They are drawn once: the same numbers come from the file.
    stamp = path.stat().st_mtime_ns
    difrun("evaluate", run, "--metric", "energy", "--n", 500)
    assert path.stat().st_mtime_ns == stamp
    assert facts(run) == after
    difrun("evaluate", run)
    assert facts(run) == before


def test_the_report_follows_the_metrics(run, monkeypatch):
    """It is written anew with the pictures that there are, and none is drawn again."""
    drawn = []
    monkeypatch.setattr("difrun.draw.save", lambda figure, path: drawn.append(path) or _pixel(path))
    difrun("evaluate", run)
    assert len(drawn) == len({*drawn}) > 3  # the fixture has none
    said = difrun("evaluate", run, "--metric", "w2")
    assert len(drawn) == len({*drawn})
    assert said.splitlines()[-1] == f"Report: {run / 'report.html'}"
    assert "matched at least cost" in (run / "report.html").read_text(encoding="utf-8")


def test_what_is_written_is_not_said_to_be_lost(run, monkeypatch):
    """Stopped while the report is made: the metrics are there, so the command goes on to its end."""
    from difrun.cli.progress import Listener

    monkeypatch.setattr("difrun.draw.save", lambda figure, path: _pixel(path))
    monkeypatch.setattr(Listener, "stopping", lambda self: self._name == "draw")
    difrun("evaluate", run, "--metric", "w2")
    assert "w2" in facts(run)["metrics"]
    assert "matched at least cost" in (run / "report.html").read_text(encoding="utf-8")
    assert "No new report was written." in difrun("report", run, code=130)


def _pixel(path):
    from PIL import Image

    Image.new("RGB", (1, 1)).save(path)
    return path


def test_sample_draws_new_samples_and_replaces_none(run):
    """Without --seed not the samples that the run has; a second call is refused, not lost."""
    said = difrun("sample", run)
    (path,) = run.glob("samples-*-n300-seed1-*.npz")
    assert said.splitlines()[-1] == f"Samples: {path}"
    assert not np.isclose(samples(run, path.name), samples(run), atol=1e-4).all(1).any()
    content = path.read_bytes()
    path.write_bytes(b"precious")
    assert "already holds these samples. Draw others with another --seed" in difrun("sample", run, code=1)
    assert path.read_bytes() == b"precious"
    difrun("sample", run, "--force")
    assert path.read_bytes() == content
    difrun("sample", run, "--seed", 0, "--out", run / "own.npz")
    np.testing.assert_array_equal(samples(run, "own.npz"), samples(run))


def test_a_users_file_is_named_and_told_and_its_units_are_said(table, tmp_path):
    with without_pictures():
        said = difrun("--dataset", "my table.csv", *FEW_STEPS)
    run = tmp_path / "runs" / "ou-my-table-1"
    summary = "my table.csv: 400 rows of 2 columns (income, age), 320 to train on and 80 held out."
    assert f"Note: {summary} Each coordinate is scaled to mean 0 and variance 1" in said
    assert "Units: standardised, each coordinate scaled to mean 0 and variance 1" in said
    assert facts(run)["metrics"]["energy"]["units"].startswith("standardised")
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "<h1>ou on my table.csv</h1>" in html
    assert summary in html
    assert "Units: standardised" in html
    # Held-out examples bound the comparison: fewer than asked for is said.
    assert "80 of 90 samples are compared" in difrun("evaluate", run, "--n", 90)
    said = difrun(
        "evaluate", run, "--metric", "w2", "--metric", "energy", "--metric.w2.max-points", 50, "--quiet"
    )
    found = facts(run)["metrics"]
    assert (found["w2"]["n"], found["energy"]["n"]) == (50, 80)
    assert (found["w2"]["bound"], found["energy"]["bound"]) == (
        "--metric.w2.max-points",
        "the held-out examples",
    )
    assert [line.split()[-1] for line in said.splitlines()[:3]] == ["n", "50", "80"]
    assert "n is 50 by --metric.w2.max-points: w2." in said
    assert "n is 80 by the held-out examples: energy." in said


def test_samples_of_a_model_that_has_learnt_nothing_bring_a_suggestion(tmp_path):
    """After 5 steps of training and 2 of sampling; not where the model is exact, however few the steps."""
    run, advice = (
        tmp_path / "run",
        "longer training (--train.steps, 5 here), more sampling steps (--steps, 2 here) or another sampler",
    )
    with without_pictures():
        said = difrun("run", *FEW_STEPS, "--metric", "density-coverage", "--out", run)
        assert advice in said
        assert advice in (run / "report.html").read_text(encoding="utf-8")
        assert advice in difrun("evaluate", run, "--metric", "density-coverage")
        exact = ("run", *EXACT, "--metric", "density-coverage", "--out", tmp_path / "exact")
        assert "longer training" not in difrun(*exact)


def test_where_nothing_is_scaled_no_units_are_told(table):
    with without_pictures():
        said = difrun("--dataset", "my table.csv", "--dataset.scale", "none", *FEW_STEPS, "--out", "run")
        assert "standardised" not in said
        assert "units" not in json.dumps(facts(Path("run"))["metrics"])
        assert "held out" not in difrun("run", *EXACT, *METRICS, "--out", "own")


def test_progress_counts_the_steps_that_the_user_asked_for(run, tmp_path):
    """10 steps for each of 50 samples are 10 steps, also where they are drawn in 3 chunks."""
    from difrun.runs import Listener, reopen

    class Steps(Listener):
        def __init__(self):
            self.heard = []

        def sample(self, done, total):
            self.heard.append((done, total))

    for chunk, expected in ((20, [k // 3 for k in range(1, 31)]), (50, [*range(1, 11)])):
        listener = Steps()
        plan = (opened := reopen(run, listener)).plan
        opened.draw_samples(50, plan.sampler, plan.grid, 10, 3, chunk, tmp_path / f"{chunk}.npz")
        assert listener.heard == [(done, 10) for done in expected]
    said = difrun("sample", run, "--n", 50, "--chunk", 20, "--out", tmp_path / "x.npz")
    assert "  10/10  steps" in said.splitlines()
