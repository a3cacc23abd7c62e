"""`difrun compare` with rows that cannot be computed, requests that are refused, and what a signal leaves."""

import signal

import pytest

import difrun as package
from difrun.errors import ConfigError, Interrupted
from difrun.plugin.listener import Listener

from .comparisons import GMM, lines_of, rows_of
from .support import difrun, paused


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, as the working one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pairs_that_cannot_work_are_left_out_with_the_reason_or_refused(folder):
    common = ("compare", *GMM, "--steps", "3", "--n", "40")
    said = difrun(*common, "--sampler", "heun,euler", "--grid", "integer,rho", "--out", "c")
    assert "Note: heun on integer is left out: grid 'integer' (difrun-ddpm) needs chain" in said
    assert [(row["sampler"], row["grid"]) for row in rows_of(folder / "c")] == [
        ("heun", "rho"),
        ("euler", "rho"),
    ]
    said = difrun(*common, "--sampler", "heun", "--grid", "integer", "--out", "d", code=2)
    assert "grid 'integer' (difrun-ddpm) needs chain, which process 'ou'" in said
    said = difrun(*common, "--sampler", "heun,euler", "--grid", "integer,integer", "--out", "d", code=2)
    assert "There is nothing to compare." in said
    assert not (folder / "d").exists()


def test_a_grid_that_has_no_such_steps_fails_alone(folder):
    """The chain of 8 steps has no 9 times: that row says so, the others are there."""
    chain = ("--process", "ddpm", "--process.steps", "8", "--dataset", "gmm", "--model", "exact")
    more = ("--metric", "sliced-w2", "--grid", "integer", "--n", "40", "--threads", "1", "--out", "c")
    difrun("compare", *chain, "--sampler", "ddim", "--steps", "4,9,8", *more)
    assert [bool(row["problem"]) for row in rows_of(folder / "c")] == [False, True, False]


def test_results_are_not_overwritten_unasked(folder):
    common = ("compare", *GMM, "--sampler", "euler", "--n", "40", "--out", "c")
    difrun(*common, "--steps", "2")
    assert "already holds a comparison (compare.csv)" in difrun(*common, "--steps", "3", code=1)
    assert [row["steps"] for row in rows_of(folder / "c")] == [2]
    difrun(*common, "--steps", "3", "--force")
    assert [row["steps"] for row in rows_of(folder / "c")] == [3]
    difrun("compare", *GMM, "--sampler", "euler", "--n", "40", "--steps", "2")
    difrun("compare", *GMM, "--sampler", "euler", "--n", "40", "--steps", "2")
    assert (folder / "runs" / "compare-2" / "compare.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nope",), 2, "There is no run in nope: nope/run.toml does not exist. 'difrun run' prints"),
        (("--dataset", "gmm", "--model", "mlp"), 2, "model 'mlp' has to be trained first"),
        (("--dataset", "checkerboard"), 1, "needs a dataset whose distribution is a Gaussian mixture"),
        ((*GMM, "--n", "1"), 2, "--n 1: at least 2 samples"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_a_folder_is_made(folder, arguments, code, words):
    assert words in difrun("compare", *arguments, "--steps", "2", code=code)
    assert list(folder.iterdir()) == []


def test_ctrl_c_keeps_the_rows_that_are_finished(folder):
    """Stopped at the start of the third of four rows."""
    arguments = ("compare", *GMM, "--sampler", "heun,euler", "--steps", "2,3", "--n", "50", "--out", "c")
    with paused(folder, "difrun.runs.compare.compare:_row", 3, *arguments) as child:
        child.send_signal(signal.SIGINT)
        (folder / "waiting").unlink()
        _, said = child.communicate(timeout=120)
        assert child.returncode == 130, said
    assert said.splitlines()[-2:] == ["Stopped after 2 of 4 rows.", "The finished rows are in c."]
    assert [(row["sampler"], row["steps"]) for row in rows_of(folder / "c")] == [("heun", 2), ("heun", 3)]
    assert len(lines_of(folder / "c")) == 2
    assert (folder / "c" / "compare.png").is_file()


class Stopped(Listener):
    def stopping(self):
        return True


def test_from_python(folder):
    plan = package.resolve(
        {"process": "ou", "dataset": "gmm", "model": "exact", "metric": ["sliced-w2"]}, {"": {"threads": 1}}
    )
    found = package.compare(plan, samplers=["euler"], steps=[2], n=40, metrics=["energy"])
    (row,) = found.rows
    assert (row.evaluations, list(row.metrics), found.path.name) == (2, ["energy"], "compare-1")
    for wrong in ([0], [2.5], [True], []):
        with pytest.raises(ConfigError, match=r"Invalid (number of|value for) steps|No number of steps"):
            package.compare(plan, steps=wrong)
    with pytest.raises(ConfigError, match=r"No sampler is called 'heum'\. Did you mean 'heun'"):
        package.compare(plan, samplers=["heum"])
    with pytest.raises(ConfigError, match="name a run"):
        package.compare()
    with pytest.raises(ConfigError, match="There is no run in"):
        package.compare("nope")
    with pytest.raises(Interrupted) as stopped:
        package.compare(plan, out="s", steps=[2], n=40, listener=Stopped())
    assert stopped.value.outcome == "Nothing was written."
    assert not (folder / "s").exists()
