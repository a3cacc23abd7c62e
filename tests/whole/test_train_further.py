"""Training beyond what was planned, and training that begins with the weights of another run."""

import tomllib

import numpy as np
import pytest

from .support import SMALL, assert_same_result, difrun, facts, paused, saved_step, weights, without_pictures

STEP = "difrun.training.trainer:Trainer._advance"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 120 training steps, saved every 20."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with without_pictures():
        difrun("run", *SMALL, "--out", folder)
    return folder


def copied(run, folder):
    folder.mkdir()
    for path in run.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_training_further_is_the_training_that_run_toml_tells(trained, tmp_path):
    """Bit for bit, and what belonged to the earlier weights is gone."""
    run = copied(trained, tmp_path / "run")
    difrun("sample", run, "--n", 5)
    assert list(run.glob("samples-*.npz"))
    with without_pictures():
        said = difrun("resume", run, "--train.steps", 200)
        assert "Note: training goes on to step 200. The learning rate falls to 0 by step 120" in said
        difrun("run", "--config", run / "run.toml", "--out", tmp_path / "again")
    train = tomllib.loads((run / "run.toml").read_text("utf-8"))["train"]
    assert (train["steps"], train["restarts"]) == (200, [120])
    assert_same_result(run, tmp_path / "again")
    assert not list(run.glob("samples-*.npz"))
    assert facts(run)["training"]["steps"] == 200
    assert not all(
        (a == b).all() for a, b in zip(weights(run).values(), weights(trained).values(), strict=True)
    )
    with without_pictures():
        difrun("resume", run, "--train.steps", 220)
    assert tomllib.loads((run / "run.toml").read_text("utf-8"))["train"]["restarts"] == [120, 200]


def test_a_run_that_is_killed_while_it_trains_further_resumes(trained, tmp_path):
    run, undisturbed = copied(trained, tmp_path / "run"), copied(trained, tmp_path / "undisturbed")
    with without_pictures():
        difrun("resume", undisturbed, "--train.steps", 160)
    with paused(tmp_path, STEP, 31, "resume", run, "--train.steps", "160") as child:
        child.kill()
    assert saved_step(run) == 140
    assert not (run / "samples.npz").exists()
    with without_pictures():
        difrun("resume", run)
    assert_same_result(run, undisturbed)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--train.steps", 120), "is planned for 120 steps. --train.steps counts from the start of training"),
        (("--train.steps", 0), "--train.steps"),
        (("--train.steps", 200, "--finish"), "give one of the two"),
    ],
)
def test_what_is_not_further_is_refused_and_changes_nothing(trained, flags, message):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    code = 1 if flags == ("--train.steps", 120) else 2
    assert message in difrun("resume", trained, *flags, code=code)
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--train.stop-at", 50), "was cut short at step 50 (--finish)"),
        (("--train.minutes", 10), "is bounded by 10 minutes (--train.minutes)"),
    ],
)
def test_training_without_a_schedule_for_more_steps_says_what_to_do(tmp_path, flags, reason):
    with without_pictures():
        difrun("run", *SMALL, *flags, "--out", tmp_path / "run")
    said = difrun("resume", tmp_path / "run", "--train.steps", 500, code=1)
    assert reason in said
    assert "--from" in said
    gmm = ("--model", "exact", "--dataset", "gmm", "--n", "50", "--steps", "3", "--metric", "sliced-w2")
    with without_pictures():
        difrun("run", *gmm, "--out", tmp_path / "exact")
    said = difrun("resume", tmp_path / "exact", "--train.steps", 500, code=1)
    assert "'exact'" in said
    assert "nothing to train" in said


def test_a_run_begins_with_the_weights_of_another(trained, tmp_path):
    """Without a step of its own it has exactly those weights, whatever the process and the data are."""
    new = tmp_path / "new"
    with without_pictures():
        difrun("run", "--from", trained, "--dataset", "moons", "--train.steps", 0, "--out", new)
    before = weights(trained)
    for name, tensor in weights(new).items():
        if name.startswith("network."):
            averaged = before[name.replace("network.", "ema.", 1)]
            assert np.array_equal(np.asarray(tensor), np.asarray(averaged)), name
    with without_pictures():
        difrun(
            "run", "--from", trained, "--dataset", "moons", "--train.steps", 30, "--out", tmp_path / "more"
        )
        difrun("run", "--config", tmp_path / "more" / "run.toml", "--out", tmp_path / "again")
    assert_same_result(tmp_path / "more", tmp_path / "again")
    assert not all(
        (a == b).all()
        for a, b in zip(weights(tmp_path / "more").values(), weights(new).values(), strict=True)
    )


def test_a_run_depends_on_the_other_only_until_it_trains(trained, tmp_path):
    source, run = copied(trained, tmp_path / "source"), tmp_path / "run"
    with paused(tmp_path, STEP, 7, "run", *SMALL, "--from", str(source), "--out", str(run)) as child:
        child.kill()
    assert saved_step(run) == 0
    for path in source.iterdir():
        path.unlink()
    with without_pictures():
        difrun("resume", run)
        difrun("run", *SMALL, "--from", trained, "--out", tmp_path / "undisturbed")
    assert_same_result(run, tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("flags", "message", "code"),
    [
        (("--from", "nope"), "There is no run in", 2),
        (
            ("--model.predicts", "noise"),
            "model 'mlp' that predicts edm, and this run model 'mlp' that predicts noise",
            1,
        ),
        (("--model.width", "17"), "(--from, in Python start_from) do not fit the network of this run", 1),
        (("--model", "exact", "--dataset", "gmm"), "leave --from, in Python start_from, out", 1),
        (("--train.start-from", "x"), "--from and --train.start-from are the same", 2),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_the_folder_is_made(
    trained, tmp_path, flags, message, code
):
    start = () if "--from" in flags else ("--from", trained)
    said = difrun("run", *start, *flags, "--threads", "1", "--out", tmp_path / "run", code=code)
    assert message in said
    assert not (tmp_path / "run").exists()
