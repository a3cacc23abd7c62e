"""The same run from Python: `resolve`, `start`, `reopen`."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import difrun as api
from difrun.errors import ConfigError, DifrunError, Interrupted
from difrun.runs.build import build
from difrun.runs.run import Run

from .support import SMALL, assert_same_result, difrun, facts, hidden, samples, saved_step, without_pictures

NAMED = {"process": "ou", "sampler": "adams", "metric": ["sliced-w2"]}
OPTIONS = {
    "train": {"steps": 120, "batch": 64, "checkpoint_steps": 20},
    "model": {"width": 16},
    "sample": {"n": 400, "steps": 5},
    "": {"threads": 1, "device": "cpu"},
}


def plan(**more):
    return api.resolve(NAMED, {**OPTIONS, **more})


@pytest.fixture(scope="module")
def by_command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command") / "run"
    with without_pictures():
        difrun("run", *SMALL, "--out", folder)
    return folder


class Stopping:
    """A listener that asks to stop once a stage has begun; it counts what it hears."""

    def __init__(self, at=None):
        self.at, self.stages, self.steps, self.notes = at, [], [], []

    def stage(self, name):
        self.stages.append(name)

    def train(self, step, steps, loss, rate, eta):
        self.steps.append((step, steps))

    def sample(self, done, total):
        self.steps.append((done, total))

    def note(self, text):
        self.notes.append(text)

    def stopping(self):
        return self.at in self.stages


def test_the_same_run_from_python(by_command, tmp_path):
    listener = Stopping()
    run = api.start(plan(), tmp_path / "run", listener=listener)
    assert not run.trained
    assert run.metrics == {}
    with without_pictures():
        assert run.execute() is run
    assert run.trained
    assert_same_result(tmp_path / "run", by_command)
    assert (tmp_path / "run" / "run.toml").read_bytes() == (by_command / "run.toml").read_bytes()
    assert listener.stages == ["train", "sample", "evaluate", "draw"]
    assert listener.steps[-5:] == [(k, 5) for k in range(1, 6)]
    assert (120, 120) in listener.steps
    # rings have no scaling: the samples of the model are those of the file
    np.testing.assert_array_equal(run.samples.numpy(), samples(tmp_path / "run"))
    assert run.metrics == facts(tmp_path / "run")["metrics"]


def test_reopen_gives_the_model_of_the_run(by_command, tmp_path):
    run = api.reopen(by_command)
    assert run.trained
    np.testing.assert_array_equal(run.samples.numpy(), samples(by_command))
    assert run.facts["training"]["steps"] == 120
    # Its own samples again, bit for bit: the averaged weights are in the network.
    p = run.plan
    path = run.draw_samples(400, p.sampler, p.grid, 5, 0, 4096, tmp_path / "again.npz")
    np.testing.assert_array_equal(samples(tmp_path, path.name), samples(by_command))


def test_more_samples_do_not_change_what_is_told_of_the_first(by_command, tmp_path):
    run = api.reopen(by_command)
    other = api.resolve({"process": "ou", "sampler": "euler", "grid": "linear"})
    run.draw_samples(10, other.sampler, other.grid, 3, 0, 4096, tmp_path / "more.npz")
    before = facts(by_command)
    run.evaluate()
    assert facts(by_command) == before


def test_the_global_random_state_is_left_alone(tmp_path, monkeypatch):
    """Those of torch, numpy and Python; and nobody seeds the generators of the GPUs."""

    def refuse(seed):
        raise AssertionError("the generators of the GPUs were seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    torch.default_generator.manual_seed(11)
    np.random.seed(12)  # noqa: NPY002
    random.seed(13)
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    # With a picture of every sort, for they draw numbers too.
    small = plan(train={"steps": 3, "batch": 64}, sample={"n": 50, "steps": 2})
    run = api.start(small, tmp_path / "run")
    run.execute()
    api.reopen(tmp_path / "run").evaluate()
    after = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    assert torch.equal(after[0], before[0])
    np.testing.assert_array_equal(after[1][1], before[1][1])
    assert after[1][2:] == before[1][2:]
    assert after[2] == before[2]


def test_the_result_does_not_depend_on_the_global_random_state(by_command, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(987)
        with without_pictures():
            api.start(plan(), tmp_path / "run").execute()
    assert_same_result(tmp_path / "run", by_command)


@pytest.mark.parametrize(
    ("stage", "step", "written"),
    [
        ("train", 0, set()),
        ("sample", 120, set()),
        ("evaluate", 120, {"samples.npz", "metrics.json"}),
        ("draw", 120, {"samples.npz", "metrics.json"}),
    ],
)
def test_a_listener_stops_the_run_at_every_stage(by_command, tmp_path, stage, step, written):
    run = tmp_path / "run"
    with pytest.raises(Interrupted) as stopped:
        api.start(plan(), run, listener=Stopping(stage)).execute()
    assert stopped.value.folder == run
    assert saved_step(run) == step
    assert {path.name for path in run.iterdir()} == {"run.toml", "model.safetensors", *written}
    with without_pictures():
        api.reopen(run).resume()
    assert_same_result(run, by_command)
    assert hidden(run) == []


def test_what_fails_is_an_ordinary_exception(by_command, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'ou'"):
        api.resolve({"process": "uo"})
    with pytest.raises(DifrunError, match="already holds a run"):
        api.start(plan(), by_command)
    with pytest.raises(DifrunError, match="There is no run in"):
        api.reopen(tmp_path / "gone")
    run = api.start(plan(), tmp_path / "run")
    for use in (run.evaluate, run.report):
        with pytest.raises(DifrunError, match="has not been trained to the end"):
            use()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.toml"}


def test_the_threads_that_a_rehearsal_chooses_are_recorded_and_leave_no_other_trace(tmp_path, monkeypatch):
    """Weights, samples and metrics are those of a run with that number given: the rehearsal changed nothing."""
    import tomllib

    from difrun.runs.environment.threads import threads

    monkeypatch.setattr("difrun.runs.report.standard_pictures.draw_all", lambda run, **_: [])
    heard = Stopping()
    with threads(2):
        auto = api.start(
            plan(**{"": {"threads": "auto", "device": "cpu"}}), tmp_path / "auto", listener=heard
        )
        assert auto.plan.threads in (1, 2)
        assert any(f"CPU threads: {auto.plan.threads}, by the speed" in note for note in heard.notes)
        auto.execute()
        recorded = tomllib.loads((tmp_path / "auto" / "run.toml").read_text("utf-8"))
        assert recorded["threads"] == auto.plan.threads == api.reopen(tmp_path / "auto").plan.threads
        given = {"": {"threads": auto.plan.threads, "device": "cpu"}}
        api.start(plan(**given), tmp_path / "given").execute()
    assert_same_result(tmp_path / "auto", tmp_path / "given")


def test_a_run_shows_itself_in_one_line(by_command, tmp_path):
    run = api.reopen(by_command)
    names = "process ou, dataset rings, model mlp, sampler adams"
    assert repr(run) == f"<Run {by_command}: {names}; trained, sampled, measured>"
    assert (
        repr(api.start(plan(), tmp_path / "new"))
        == f"<Run {tmp_path / 'new'}: {names}; training step 0 of 120>"
    )


def test_a_run_shows_itself_in_a_notebook(by_command, monkeypatch):
    """Its verdict and its numbers; its plan as a file; its report in a frame, or in the browser outside of Jupyter."""
    run, opened = api.reopen(by_command), []
    shown = run._repr_html_()
    assert f"Run {by_command}: process ou" in shown
    number = run.metrics["sliced-w2"]
    assert f"<td>sliced-w2</td><td>{number['value']:.4g}</td><td>{number['floor']:.4g}</td>" in shown
    assert "real data" in shown or "Too weak a test" in shown
    assert repr(run.plan).startswith("<Plan process ou, dataset rings, model mlp, loss ")
    assert "[process]" in run.plan._repr_html_()
    monkeypatch.setattr("webbrowser.open", opened.append)
    view = run.show()
    assert opened == [run.folder.report.resolve().as_uri()]
    monkeypatch.setattr("difrun.runs.report.notebook.in_notebook", lambda: True)
    assert run.show() == view
    assert len(opened) == 1
    assert "srcdoc=" in view._repr_html_()
    assert "sliced-w2" in view._repr_html_()


def test_a_run_plays_its_film(by_command, tmp_path):
    """One frame for each time of the grid, of the run's own noise."""
    film = api.reopen(by_command).animate()
    assert film.frames == 5 + 1
    new = api.start(plan(), tmp_path / "new")
    with pytest.raises(DifrunError, match="has no report yet"):
        new.show()
    with pytest.raises(DifrunError, match="has not been trained to the end"):
        new.animate()


@pytest.mark.parametrize(
    ("named", "options", "message"),
    [
        ({}, {"seed": 3}, "'seed' is 3; expected a section and its options, such as {'': {'seed': 3}}."),
        ({}, {"steps": 9}, "such as {'train': {'steps': 9}} or {'sample': {'steps': 9}}."),
        ({}, {"theta": 1}, 'such as {"process": {"theta": 0.5}}.'),
        ({}, [1], "Invalid value for options: expected a dict; got [1]."),
        ("ou", {}, "Invalid value for named: expected a dict; got 'ou'."),
    ],
)
def test_arguments_of_another_form_are_refused_with_the_right_one(named, options, message):
    with pytest.raises(ConfigError) as caught:
        api.resolve(named, options)
    assert message in str(caught.value)


def test_messages_fit_python_too(by_command, tmp_path):
    """A folder that is taken: what to write is told for the command and for Python."""
    with pytest.raises(DifrunError) as caught:
        api.start(plan(), by_command)
    assert str(caught.value).startswith(f"{by_command} already holds a run.")
    assert "--force, in Python force=True" in str(caught.value)


def test_resume_of_a_finished_run_says_so(by_command, monkeypatch):
    monkeypatch.setattr("difrun.runs.report.standard_pictures.draw_all", lambda run, **_: [])
    heard = Stopping()
    api.reopen(by_command, heard).resume()
    assert "this run is finished; only its pictures and its report are drawn again" in heard.notes
    assert heard.stages == ["draw"]


def test_a_model_knows_the_covariance_of_its_examples():
    """What `adams` takes its axes from: NumPy's covariance of the training examples, on a Gaussian process."""
    chosen = api.resolve(
        {"process": "ou", "dataset": "spiral"}, {"model": {"width": 8}, "": {"device": "cpu"}}
    )
    parts = build(chosen, torch.device("cpu"))
    expected = np.cov(parts.dataset.train.double().numpy().T, bias=True)
    np.testing.assert_allclose(parts.model.cov.numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(build(chosen, torch.device("cpu")).model.cov, expected, rtol=1e-12, atol=1e-12)


def test_a_guided_model_is_one_object_until_the_weights_change(monkeypatch):
    """So that a grid made for it is made once."""
    monkeypatch.setattr("difrun.runs.state.guided", lambda model, guidance, context: [model, guidance])
    monkeypatch.setattr("difrun.runs.state.guidance_context", lambda *of_run: None)
    trainer, parts = SimpleNamespace(step=3), SimpleNamespace(model="m", dataset=None)
    run = Run(
        SimpleNamespace(guidance=("clip",), seed=0), SimpleNamespace(path=None), parts, None, None, trainer
    )
    first = run.model
    assert first == ["m", ("clip",)]
    assert run.model is first
    trainer.step = 4
    assert run.model is not first
    run.plan = SimpleNamespace(guidance=())
    assert run.model == "m"
