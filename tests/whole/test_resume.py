"""A run that is killed or stopped, wherever that happens, ends after `resume` as if nothing had happened."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .support import (
    SMALL,
    assert_same_result,
    difrun,
    environ,
    facts,
    hidden,
    paused,
    saved_step,
    unfinished,
    until,
    weights,
    without_pictures,
)

STEP = "difrun.training.trainer:Trainer._advance"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run of 120 training steps, saved every 20."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    with without_pictures():
        difrun("run", *SMALL, "--out", folder)
    return folder


@pytest.mark.parametrize(
    ("place", "call", "step", "there", "absent"),
    [
        # Training: a call of `_advance` is a step; step 20 is followed by the first checkpoint.
        pytest.param(STEP, 7, None, "run.toml", ".model.safetensors.part", id="before-the-first-checkpoint"),
        pytest.param(STEP, 31, 20, "run.toml", ".model.safetensors.part", id="between-checkpoints"),
        pytest.param(STEP, 41, 40, "run.toml", ".model.safetensors.part", id="just-after-a-checkpoint"),
        # Files are written in the order run.toml, checkpoint of step 20, of step 40, ...; each is flushed, then
        # renamed, then its folder is flushed. run.toml is written under another name, and then renamed once more.
        pytest.param(
            "os:fsync", 4, None, ".model.safetensors.part", "samples.npz", id="writing-the-first-checkpoint"
        ),
        pytest.param(
            "os:replace", 4, 20, ".model.safetensors.part", "samples.npz", id="writing-a-later-checkpoint"
        ),
        # After training.
        pytest.param(
            "difrun.runs.run:Run.sample_report", 2, 120, "model.safetensors", "samples.npz", id="sampling"
        ),
        pytest.param("os:replace", 10, 120, ".samples.npz.part", "samples.npz", id="writing-samples"),
        pytest.param(
            "difrun.runs.stages.evaluation:measure", 1, 120, "samples.npz", "metrics.json", id="measuring"
        ),
    ],
)
def test_killed_runs_resume_to_the_same_bits(undisturbed, tmp_path, place, call, step, there, absent):
    run = tmp_path / "run"
    with paused(tmp_path, place, call, "run", *SMALL, "--out", run) as child:
        child.send_signal(signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    assert saved_step(run) == step
    found = {path.name for path in run.iterdir()} | {f".{written}.part" for written in unfinished(run)}
    assert there in found
    assert absent not in found
    with without_pictures():
        difrun("resume", run)
    assert_same_result(run, undisturbed)
    assert hidden(run) == []


def test_killed_while_drawing(undisturbed, tmp_path):
    """The first picture is written, the second under way: `resume` draws all of them and the report."""
    run = tmp_path / "run"
    with paused(tmp_path, "os:replace", 13, "run", *SMALL, "--out", run) as child:
        child.send_signal(signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    assert (run / "samples.png").exists()
    assert not (run / "forward.gif").exists()
    assert unfinished(run) == ["forward.gif"]
    difrun("resume", run)
    assert_same_result(run, undisturbed)
    assert hidden(run) == []
    assert {"forward.gif", "reverse.gif", "loss.png", "report.html"} <= {path.name for path in run.iterdir()}


def test_killed_from_outside_right_after_the_start(undisturbed, tmp_path):
    """The command as users start it, killed as soon as its folder is seen."""
    run = tmp_path / "run"
    command = [sys.executable, "-c", "from difrun.cli import main; main()", "run", *SMALL, "--out", str(run)]
    child = subprocess.Popen(command, env=environ(), stderr=subprocess.PIPE, text=True)
    until((run / "run.toml").exists, child)
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    with without_pictures():
        difrun("resume", run)
    assert_same_result(run, undisturbed)
    assert hidden(run) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(undisturbed, tmp_path, number, code):
    """The step under way is finished: step 31, between two checkpoints, is what is saved."""
    run = tmp_path / "run"
    with paused(tmp_path, STEP, 31, "run", *SMALL, "--out", run) as child:
        child.send_signal(number)
        (tmp_path / "waiting").unlink()
        out, err = child.communicate(timeout=60)
    assert child.returncode == code
    assert out == ""
    assert err.splitlines()[-4:] == [
        "Stopping: saving first. Once more stops at once.",
        "Stopped at training step 31 of 120; the state is saved.",
        f"Continue with: difrun resume {run}",
        f"Or use what is trained so far: difrun resume {run} --finish",
    ]
    assert saved_step(run) == 31
    with without_pictures():
        said = difrun("resume", run)
    assert "Note: training goes on from step 31 of 120" in said
    assert_same_result(run, undisturbed)


def test_finish_samples_what_is_trained_and_says_so(tmp_path):
    """The weights of step 31, averaged as ever; run.toml then gives them again, and nothing is left to resume."""
    run, again = tmp_path / "run", tmp_path / "again"
    with paused(tmp_path, STEP, 31, "run", *SMALL, "--out", run) as child:
        child.send_signal(signal.SIGINT)
        (tmp_path / "waiting").unlink()
        child.communicate(timeout=60)
    before, record = weights(run), (run / "run.toml").read_text("utf-8")
    with without_pictures():
        said = difrun("resume", run, "--finish")
        assert "Note: training ends at step 31 of 120, where it was left" in said
        assert "Training ..." not in said
        assert (run / "run.toml").read_text("utf-8") == record.replace('stop_at = "none"', "stop_at = 31")
        training = facts(run)["training"]
        assert (training["steps"], training["steps_planned"]) == (31, 120)
        assert "Training was ended at step 31 of the 120" in (run / "report.html").read_text("utf-8")
        assert all((before[name] == tensor).all() for name, tensor in weights(run).items())
        difrun("run", "--config", run / "run.toml", "--out", again)
        assert_same_result(run, again)
        assert "this run is finished" in difrun("resume", run)
        assert "there is nothing to cut short" in difrun("resume", run, "--finish")
    assert_same_result(run, again)


def test_finish_needs_weights(tmp_path):
    run = tmp_path / "run"
    with paused(tmp_path, STEP, 7, "run", *SMALL, "--out", run) as child:
        child.kill()
    said = difrun("resume", run, "--finish", code=1)
    assert said.startswith(f"Error: {run} holds no weights: it was stopped before any were saved."), said


def test_a_second_signal_stops_at_once(undisturbed, tmp_path):
    run = tmp_path / "run"
    with paused(tmp_path, STEP, 31, "run", *SMALL, "--out", run) as child:
        child.send_signal(signal.SIGINT)
        while child.stderr.readline() != "Stopping: saving first. Once more stops at once.\n":
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (
        err.strip() == "Stopped at once. What was saved last stays; 'difrun resume RUN' continues from there."
    )
    assert saved_step(run) == 20
    with without_pictures():
        difrun("resume", run)
    assert_same_result(run, undisturbed)


def test_resuming_a_finished_run_changes_nothing(undisturbed, tmp_path):
    run = Path(tmp_path) / "run"
    run.mkdir()
    for path in undisturbed.iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    kept = {
        name: (run / name).read_bytes()
        for name in ("run.toml", "model.safetensors", "samples.npz", "metrics.json")
    }
    with without_pictures():
        difrun("resume", run)
    assert {name: (run / name).read_bytes() for name in kept} == kept


def test_resume_measures_what_is_missing(undisturbed, tmp_path):
    """Metrics that someone measured on the way do not stand for those of the run."""
    run = tmp_path / "run"
    with paused(tmp_path, "difrun.runs.stages.evaluation:measure", 1, "run", *SMALL, "--out", run) as child:
        child.kill()
    difrun("evaluate", run, "--metric", "energy")
    assert list(facts(run)["metrics"]) == ["energy"]
    with without_pictures():
        difrun("resume", run)
    assert_same_result(run, undisturbed)
