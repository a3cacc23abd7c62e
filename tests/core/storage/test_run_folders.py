"""Runs that are suggested for a path without one, and offered to the TAB key."""

import pytest

from difrun.storage.run_folders import MOST, completions, no_run, runs_in


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with three runs in `runs`, one elsewhere, and folders that are none."""
    for run in ("runs/ou-rings-1", "runs/ou-rings-2", "runs/flow-moons-1", "old/first"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "run.toml").touch()
    (tmp_path / "runs" / "compare-1").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("runs/ou-ring-2", "Did you mean 'runs/ou-rings-2'?"),
        ("run/flow-moons-1", "Did you mean 'runs/flow-moons-1'?"),
        ("flow-moon-1", "Did you mean 'runs/flow-moons-1'?"),
        ("old/fist", "Did you mean 'old/first'?"),
        ("old", "It holds the run old/first: give that."),
        ("runs", "It holds 3 runs: give one of them, such as runs/ou-rings-2."),
        ("data", "Runs nearby: runs/flow-moons-1, runs/ou-rings-1, runs/ou-rings-2."),
        ("old/zzz/zzz", "Runs nearby: runs/flow-moons-1, runs/ou-rings-1, runs/ou-rings-2."),
    ],
)
def test_the_run_that_was_meant_is_suggested(place, path, advice):
    assert str(no_run(path)) == f"There is no run in {path}: {path}/run.toml does not exist. {advice}"


def test_without_runs_the_advice_is_the_callers_or_how_to_make_one(tmp_path):
    assert str(no_run(tmp_path / "x")).endswith("'difrun run' prints the folder that it makes.")
    assert str(no_run(tmp_path / "x", "x is a sampler.")).endswith("x is a sampler.")


def test_a_file_of_a_run_leads_to_its_folder(place):
    assert (
        str(no_run("old/first/run.toml"))
        == "old/first/run.toml is a file of a run: give the folder, old/first."
    )


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["old/", "runs/", "runs/flow-moons-1", "runs/ou-rings-1", "runs/ou-rings-2"]),
        ("ru", ["runs/", "runs/flow-moons-1", "runs/ou-rings-1", "runs/ou-rings-2"]),
        ("runs/o", ["runs/ou-rings-1", "runs/ou-rings-2"]),
        ("old/", ["old/first"]),
        ("data", []),
        ("nowhere/x", []),
    ],
)
def test_runs_are_offered_for_what_is_typed(place, typed, offered):
    assert completions(typed) == offered


def test_a_full_folder_is_looked_at_in_part(tmp_path):
    for number in range(MOST + 50):
        (tmp_path / f"run-{number}").mkdir()
        (tmp_path / f"run-{number}" / "run.toml").touch()
    assert len(runs_in(tmp_path)) == MOST
