"""`difrun tune`, from the command to the samples of the sampler that it makes."""

import json

import numpy as np
import pytest

from difrun.errors import Interrupted
from difrun.runs.run import Run

from .support import SMALL, difrun, samples, without_pictures

EXACT = (
    "run",
    "--dataset",
    "gmm",
    "--model",
    "exact",
    "--metric",
    "sliced-w2",
    "--n",
    "300",
    "--threads",
    "1",
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "run"
    with without_pictures():
        difrun(*EXACT, "--out", folder)
    said = difrun("tune", folder, "--steps", "4,6", "--coefficients", "--iterations", 20)
    return folder, said


def test_the_samples_of_the_tuned_sampler_are_nearer_to_the_fine_solution(tuned, tmp_path):
    """From one noise, with 6 steps: the distance to 200 steps of adams is at most half that of adams with 6."""
    folder, said = tuned
    common = ("sample", folder, "--n", 500, "--seed", 3)
    difrun(*common, "--sampler", "tuned", "--steps", 6, "--out", tmp_path / "tuned.npz")
    difrun(*common, "--sampler", "adams", "--steps", 6, "--out", tmp_path / "plain.npz")
    difrun(*common, "--sampler", "adams", "--steps", 200, "--out", tmp_path / "fine.npz")
    fine = samples(tmp_path, "fine.npz")
    error = {
        name: np.sqrt(((samples(tmp_path, f"{name}.npz") - fine) ** 2).sum(1).mean())
        for name in ("tuned", "plain")
    }
    assert error["tuned"] < error["plain"] / 2, (error, said)
    with np.load(tmp_path / "tuned.npz", allow_pickle=False) as file:
        drawn = json.loads(str(file["drawn"]))
    assert (drawn["sampler"], drawn["grid"], drawn["evaluations"]) == ("tuned", "tuned", 6)


def test_what_is_printed_is_what_is_kept(tuned):
    folder, said = tuned
    stored = json.loads((folder / "tuning.json").read_text())
    assert sorted(stored) == ["4", "6"]
    assert said.splitlines()[-3:] == [
        "To use it:",
        *(f"  difrun sample {folder} --sampler tuned --steps {steps}" for steps in stored),
    ]
    for steps, tuning in stored.items():
        (row,) = [line.split() for line in said.splitlines() if line.split()[:1] == [steps]]
        names = ("median_before", "before", "median", "error")
        assert row[1:5] == [f"{tuning[name]:.2g}" for name in names]
        assert tuning["error"] < tuning["before"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("sample", "--sampler", "tuned", "--steps", 7),
            1,
            "it is tuned for 4, 6. 'difrun tune RUN --steps 7'",
        ),
        (("sample", "--sampler", "tuned", "--grid", "rho", "--steps", 6), 2, "needs tuned, which grid 'rho'"),
        (
            ("tune", "--steps", "4,x"),
            2,
            "expected whole numbers separated by commas, such as 5,10,20; got '4,x'",
        ),
        (
            ("sample", "--sampler", "tuned", "--steps", 1),
            1,
            "for 1 step of this model; it is tuned for 4, 6. 'difrun tune' is for 2 to 60",
        ),
        (("tune", "--steps", "1"), 2, "expected 2 to 60 steps, not 1: one step has no grid to tune"),
        (("tune", "--steps", "6,61"), 2, "expected 2 to 60 steps, not 61"),
        (("sample", "--steps", "9" * 20), 2, "Invalid value for --steps: must be >= 1, <= 100000; got 9999"),
        (
            ("compare", "--steps", "5," + "9" * 5000),
            2,
            "Invalid value for '--steps': expected 1 to 100000 steps, not 9999",
        ),
    ],
)
def test_what_cannot_be_is_said(tuned, arguments, code, message):
    command, *rest = arguments
    said = " ".join(difrun(command, tuned[0], *rest, code=code).split())
    assert message in said
    assert "Tuning for" not in said


def test_ctrl_c_shows_what_is_tuned_until_then(tuned, monkeypatch):
    folder, _ = tuned
    original = Run.tune

    def tune(self, steps, **more):
        if steps == 5:
            raise Interrupted(self.path, "Stopped.")
        return original(self, steps, **more)

    monkeypatch.setattr(Run, "tune", tune)
    before = (folder / "tuning.json").read_text()
    said = difrun("tune", folder, "--steps", "4,5", "--iterations", 10, code=130).splitlines()
    assert "Tuning for 4 steps ..." in said
    assert [line.split()[0] for line in said if line.split()[-1:] == ["times"]] == ["4"]
    assert said[-2:] == ["Stopped.", "What was tuned before this number of steps is kept."]
    assert (folder / "tuning.json").read_text() == before


def test_a_worse_tuning_does_not_replace_a_better_one(tuned):
    folder, _ = tuned
    before = json.loads((folder / "tuning.json").read_text())
    said = difrun("tune", folder, "--steps", 6, "--iterations", 1)
    assert "the earlier tuning for 6 steps stays" in said
    assert json.loads((folder / "tuning.json").read_text()) == before


def test_samples_of_another_tuning_have_another_name(tuned):
    """They are other samples, and are not refused as being there already."""
    folder, _ = tuned
    difrun("sample", folder, "--n", 20, "--sampler", "tuned", "--steps", 4)
    assert "already holds these samples" in difrun(
        "sample", folder, "--n", 20, "--sampler", "tuned", "--steps", 4, code=1
    )
    content = json.loads((folder / "tuning.json").read_text())
    whole = json.dumps(content)
    content["4"]["changes"] = None
    try:
        (folder / "tuning.json").write_text(json.dumps(content))
        difrun("sample", folder, "--n", 20, "--sampler", "tuned", "--steps", 4)
    finally:
        (folder / "tuning.json").write_text(whole)
    assert len(list(folder.glob("samples-tuned-tuned-4-*.npz"))) == 2


def test_a_damaged_tuning_is_said(tuned, tmp_path):
    folder, _ = tuned
    content = (folder / "tuning.json").read_text()
    try:
        (folder / "tuning.json").write_text("{")
        assert "tuning.json is damaged" in difrun("sample", folder, "--steps", 6, code=1)
    finally:
        (folder / "tuning.json").write_text(content)


def test_a_run_that_begins_has_nothing_tuned(tmp_path):
    said = difrun("run", *SMALL, "--sampler", "tuned", "--out", tmp_path / "run", code=1)
    assert "There is nothing to tune before a model is trained." in said
    assert not (tmp_path / "run").exists()


def test_a_network_is_tuned_too(tmp_path):
    """What is found is no worse than what there was, and the samples of the tuned sampler are finite."""
    folder = tmp_path / "run"
    with without_pictures():
        difrun("run", *SMALL, "--out", folder)
    difrun("tune", folder, "--steps", 5, "--iterations", 10)
    stored = json.loads((folder / "tuning.json").read_text())["5"]
    assert stored["median"] <= 1.1 * stored["median_before"]
    difrun("sample", folder, "--n", 50, "--sampler", "tuned", "--steps", 5, "--out", tmp_path / "x.npz")
    assert np.isfinite(samples(tmp_path, "x.npz")).all()
