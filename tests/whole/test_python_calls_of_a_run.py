"""What the Python calls tell a listener about a run, and what of their arguments has an effect on it."""

import numpy as np
import pytest
import torch

import difrun as api
from difrun.errors import ConfigError, DifrunError, Interrupted
from difrun.plugin.listener import Listener
from difrun.sampler.tuning.search import tune as search

from .python_calls import OPTIONS, SMALL, X
from .support import samples, without_pictures


@pytest.fixture(scope="module")
def run(runs):
    with without_pictures():
        return api.run(process="ou", sampler="heun", dataset=X, out=runs / "heard", options=OPTIONS, **SMALL)


class Hearing(Listener):
    """Keeps what it is told, and asks to stop once it heard of a stage."""

    def __init__(self, stop_in=None):
        self.told, self.stop_in = [], stop_in

    def stage(self, name):
        self.told.append(name)

    def note(self, text):
        self.told.append(text)

    def stopping(self):
        return self.stop_in in self.told


@pytest.fixture
def quick_tuning(monkeypatch):
    monkeypatch.setattr("difrun.runs.stages.tuning.tune", lambda *a, **k: search(*a, trajectories=16, **k))
    monkeypatch.setattr("difrun.sampler.tuning.search.SELECTION_TRAJECTORIES", 32)


def test_a_listener_hears_an_open_run_in_a_call_and_not_after(run, quick_tuning):
    own = run.listener
    for call, stage in (
        (lambda heard: api.tune(run, 2, iterations=1, listener=heard), "tune 2"),
        (lambda heard: api.evaluate(run, listener=heard), "evaluate"),
        (lambda heard: api.resume(run, listener=heard), "draw"),
    ):
        heard = Hearing()
        with without_pictures():
            call(heard)
        assert stage in heard.told, (stage, heard.told)
        assert run.listener is own
    notes = []
    with without_pictures():
        api.evaluate(run, X[:119], n=119, listener=notes.append)
        api.evaluate(run, n=119, listener=notes.append)
    assert any("119 samples are compared" in note for note in notes)


def test_a_user_who_stops_is_heard_by_an_open_run(run, quick_tuning):
    for call, stage in (
        (lambda heard: api.tune(run, 3, iterations=1, listener=heard), "tune 3"),
        (lambda heard: api.resume(run, steps=run.trainer.step + 5, listener=heard), "train"),
    ):
        with without_pictures(), pytest.raises(Interrupted, match=r"Stopped|[Ii]nterrupted"):
            call(Hearing(stop_in=stage))
    with without_pictures():
        assert api.resume(run).trained


def test_options_of_a_metric_are_heeded_for_a_file(run, runs):
    np.save(runs / "drawn.npy", samples(run.path))
    file, few = runs / "drawn.npy", {"metric.sliced-w2.projections": 2}
    with_option = api.evaluate(run, file, options=few)
    assert with_option == api.evaluate(run, file, metric="sliced-w2", options=few)
    assert with_option["sliced-w2"]["value"] != api.evaluate(run, file)["sliced-w2"]["value"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: api.evaluate(run, "drawn.npy", label=0), "a file of samples holds their classes"),
        (lambda run: api.evaluate(run, "drawn.npy", guidance="cfg"), "guidance draws other samples"),
        (lambda run: api.evaluate(run, X[:50], options={"sampler.x": 3}), "takes options of metric, threads"),
        (lambda run: api.sample(run, 5, options={"process.theta": 2}), "no effect on difrun.sample"),
        (lambda run: api.sample(run, 5, options={"train.steps": 2}), "no effect on difrun.sample"),
        (lambda run: api.compare(run, dataset=X), "runs and plans have their own data"),
        (lambda run: api.compare(run, device="cpu"), "a run that is open, which keeps its own"),
        (lambda run: api.compare(run, threads=1), "difrun.reopen(folder, threads=...)"),
        (lambda run: api.compare(run.path, threads="many"), "Invalid value for threads="),
        (lambda run: api.tune(run, 3, seed=4), "a run is tuned with its own seed"),
        (lambda run: api.resume(run, process="ou"), "process is given for a run that is open already"),
        (lambda run: api.resume(run, steps="a"), "Invalid value for steps: expected a whole number"),
        (lambda run: api.log_likelihood(run, X, dataset=X), "a run has its own data: leave dataset out"),
    ],
)
def test_what_would_have_no_effect_on_a_run_is_refused(run, call, message):
    with pytest.raises(ConfigError) as raised:
        call(run)
    assert message in str(raised.value)


def test_threads_and_numbers_are_taken_from_options(run):
    plain = api.sample(run, 7, steps=3)
    torch.testing.assert_close(api.sample(run, options={"n": np.int64(7), "steps": 3}), plain, atol=0, rtol=0)
    seen = []

    def counted(model):
        seen.append(torch.get_num_threads())
        return model

    before = torch.get_num_threads()
    api.sample(run, 3, guidance=counted, options={"threads": 2})
    assert seen == [2]
    assert torch.get_num_threads() == before
    with pytest.raises(DifrunError, match="fewer than n = 51"):
        api.evaluate(run, X[:50], n=51)
