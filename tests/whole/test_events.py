"""Loggers hear all that happens in a run, in order, with true values; what they do changes nothing."""

import json
import tomllib
import types
from unittest import mock

import attrs
import numpy as np
import pytest
import torch

import difrun
from difrun.api import hookimpl
from difrun.errors import DifrunError, Interrupted
from difrun.runs.report import standard_pictures
from difrun.runs.stages.likelihood import LikelihoodRequest
from difrun.sampler.tuning.result import Tuning
from difrun.training.schedule import learning_rate

from .recorder import events, listening, logger, values
from .support import assert_same_result
from .support import difrun as command

OPTIONS = {
    "train.steps": 60,
    "train.batch": 32,
    "train.checkpoint_steps": 25,
    "model.width": 8,
    "sample.n": 120,
    "sample.chunk": 60,
    "sample.steps": 3,
    "device": "cpu",
    "threads": 1,
}
NAMES = {"process": "ou", "dataset": "rings", "metric": ["energy"], "sampler": "heun", "grid": "logsnr"}

TUNED = Tuning([4.0, 1.0, 0.1], None, error=0.1, before=0.4, median=0.05, median_before=0.2, trajectories=9)


class StopsAtStep(difrun.Listener):
    """Asks to stop before a step of training; training asks once before every step."""

    def __init__(self, step):
        self.left = step

    def stopping(self):
        self.left -= 1
        return self.left < 0


def run(folder, **more):
    return difrun.run(out=folder, options=OPTIONS | more.pop("options", {}), **NAMES | more)


def one_picture(run):
    """The pictures of a run; the others take longer to draw than all the rest."""
    yield "loss", standard_pictures.Vectors(run).loss


@pytest.fixture(scope="module", autouse=True)
def every_step():
    """Every step is told of, not a few in a second."""
    with (
        mock.patch("difrun.training.trainer.REPORT_SECONDS", 0.0),
        mock.patch("difrun.runs.state.SAMPLE_STEP_SECONDS", 0.0),
        mock.patch.object(standard_pictures, "_drawings", one_picture),
    ):
        yield


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The folder of a run that was stopped after 30 of 60 steps and resumed, and what a logger heard of each part."""
    folder = tmp_path_factory.mktemp("told") / "run"
    first, second = [], []
    with listening(logger(first)) as reported, pytest.raises(Interrupted):
        run(folder, listener=StopsAtStep(30))
    with listening(logger(second)) as reported_later:
        difrun.resume(folder)
    assert reported + reported_later == []
    return folder, first, second


def test_the_order_of_events(told):
    _, first, second = told
    assert events(first) == [
        "run_started",
        "train_step",
        "checkpoint",
        "train_step",
        "checkpoint",
        "run_failed",
    ]
    after = ["checkpoint", "sample_step", "sampled", "evaluated", "picture", "run_finished"]
    assert events(second) == ["run_started", "train_step", "checkpoint", "train_step", *after]


def test_a_run_begins_with_its_plan(told):
    folder, first, second = told
    (begin,), (again,) = values(first, "run_started"), values(second, "run_started")
    assert begin["config"] == again["config"] | {"threads": 1}
    assert begin["config"] == tomllib.loads((folder / "run.toml").read_text("utf-8"))
    assert begin["plan"].process.name == "ou"
    flat = begin["hyperparameters"]
    assert [flat[key] for key in ("seed", "process.name", "process.theta", "train.lr", "metrics.names")] == [
        *(0, "ou", 1.0),
        *(begin["config"]["train"]["lr"], "energy"),
    ]
    assert not [key for key in flat if key.startswith(("versions", "data."))]
    assert all(isinstance(value, int | float | bool | str) for value in flat.values())
    assert [begin[name] for name in ("work", "folder", "step", "steps")] == ["run", folder, 0, 60]
    assert [again[name] for name in ("work", "folder", "step", "steps")] == ["resume", folder, 30, 60]


def test_steps_of_training_have_the_loss_of_the_history_and_go_on_after_a_stop(told):
    folder, first, second = told
    steps = values(first, "train_step") + values(second, "train_step")
    assert [step["step"] for step in steps] == list(range(1, 61))
    assert {step["steps"] for step in steps} == {60}
    trainer = difrun.reopen(folder).trainer
    for step in steps:
        number = step["step"]
        assert step["loss"] == float(trainer.losses[max(0, number - 50) : number].mean())
        assert step["lr"] == learning_rate(trainer.options, number - 1, 0.0) > 0
        assert step["rate"] > 0


def test_every_saved_state_is_told_of(told):
    folder, first, second = told
    assert [event["step"] for event in values(first, "checkpoint")] == [25, 30]
    assert [event["step"] for event in values(second, "checkpoint")] == [50, 60]
    assert {event["file"] for event in values(second, "checkpoint")} == {folder / "model.safetensors"}


def test_sampling_and_measuring_have_the_values_in_the_folder(told):
    folder, _, second = told
    assert [(step["step"], step["steps"]) for step in values(second, "sample_step")] == [
        (k, 6) for k in range(1, 7)
    ]
    written = json.loads((folder / "metrics.json").read_text("utf-8"))
    (sampled,), (measured,) = values(second, "sampled"), values(second, "evaluated")
    assert sampled["file"] == folder / "samples.npz"
    assert sampled["n"] == len(np.load(sampled["file"])["x"]) == 120
    assert sampled["facts"] == {key: value for key, value in written["samples"].items() if key != "n"}
    assert measured["metrics"] == written["metrics"]
    assert measured["file"] == folder / "metrics.json"
    assert measured["step"] == sampled["step"] == 60
    (picture,) = values(second, "picture")
    assert (picture["file"], picture["title"]) == (folder / "loss.png", "Loss")
    assert picture["file"].is_file()


def test_the_end_of_a_run_says_how_it_ended(told):
    folder, first, second = told
    (failed,), (finished,) = values(first, "run_failed"), values(second, "run_finished")
    assert isinstance(failed["error"], Interrupted)
    assert [failed[name] for name in ("work", "stopped", "step")] == ["run", True, 30]
    assert [finished[name] for name in ("work", "folder", "step")] == ["resume", folder, 60]
    assert finished["metrics"] == json.loads((folder / "metrics.json").read_text("utf-8"))["metrics"]


def test_other_work_on_a_run_is_told_of(told, tmp_path):
    folder, heard, of_runs = told[0], [], []

    def difrun_run_finished(folder):
        of_runs.append(folder)

    narrow = types.ModuleType("narrow")
    narrow.difrun_run_finished = hookimpl(difrun_run_finished)
    with listening(logger(heard), narrow) as reported:
        opened = difrun.reopen(folder)
        plan = opened.plan
        opened.evaluate(n=100)
        file = opened.draw_samples(20, plan.sampler, plan.grid, 2, 5, 20, out=tmp_path / "more.npz")
        opened.evaluate_file(file)
        likelihood = opened.likelihood(LikelihoodRequest(n=20, steps=4, times=4))
        with mock.patch("difrun.runs.stages.tuning.tune", return_value=TUNED):
            opened.tune(2)
        opened.report()
    assert reported == []
    assert of_runs == []  # one that does not ask which work it is hears of runs alone
    begun = [values["work"] for event, values in heard if event == "run_started"]
    ended = [values["work"] for event, values in heard if event == "run_finished"]
    assert begun == ended == ["evaluate", "sample", "evaluate", "likelihood", "tune", "report"]
    assert values(heard, "sampled")[0]["file"] == file
    assert values(heard, "evaluated")[1]["file"] == tmp_path / "more.metrics.json"
    assert values(heard, "likelihood")[0]["likelihood"] == likelihood
    (told_of,) = values(heard, "tuned")
    assert (told_of["steps"], told_of["tuning"]) == (2, attrs.asdict(TUNED))


def test_a_comparison_is_told_of_row_by_row(tmp_path):
    heard = []
    with listening(logger(heard)):
        command(
            *("compare", "--dataset", "gmm", "--model", "exact", "--sampler", "euler", "--steps", "2,3"),
            *("--n", 50, "--metric", "energy", "--out", tmp_path / "c", "--threads", 1),
        )
    assert events(heard) == ["run_started", "compared", "run_finished"]
    written = json.loads((tmp_path / "c" / "compare.json").read_text("utf-8"))
    assert [event["row"] for event in values(heard, "compared")] == written["rows"]
    assert heard[0][1]["work"] == "compare"
    assert heard[0][1]["folder"] == tmp_path / "c"


@pytest.mark.parametrize(
    ("error", "stopped"), [(KeyboardInterrupt(), True), (DifrunError("no"), False), (SystemExit(1), False)]
)
def test_whatever_ends_a_run_is_told_once(tmp_path, error, stopped):
    heard = []
    with (
        listening(logger(heard)),
        mock.patch("difrun.runs.stages.evaluation.evaluate_run", side_effect=error),
        pytest.raises(type(error)),
    ):
        run(tmp_path / "run", options={"train.steps": 2})
    ends = [(event, found) for event, found in heard if event in ("run_finished", "run_failed")]
    ((event, found),) = ends
    assert (event, found["stopped"], found["error"]) == ("run_failed", stopped, error)


def test_loggers_that_do_what_none_should_change_nothing(tmp_path):
    """They raise anything, change what they are handed, torch's defaults and the generators of the process."""
    kinds = iter([ValueError, SystemExit, KeyboardInterrupt, GeneratorExit] * 20)

    def misbehave(event, values):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(event == "difrun_sample_step")
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        for value in values.values():
            if isinstance(value, dict):
                value.clear()
        print("on stdout")
        raise next(kinds)("disk is full")

    heard, others = [], []
    with listening():
        plain = run(tmp_path / "plain")
    with listening(logger(heard, misbehave), logger(others)) as reported:
        watched = run(tmp_path / "watched")
    assert_same_result(plain.path, watched.path)
    assert {path.name for path in plain.path.iterdir()} == {path.name for path in watched.path.iterdir()}
    names = set(events(others))
    assert {event for event, _ in heard} == names  # each is heard once, and not called again
    assert len(heard) == len(names) == len(reported)
    assert all("difrun-log1 failed and is not called again" in text for text in reported)
    assert len(values(others, "train_step")) == 60
