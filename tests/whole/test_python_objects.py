"""Classes, functions and objects of the user in the place of names, and what a run folder knows of them."""

import sys
import textwrap
import tomllib

import numpy as np
import pytest
import torch
from torch import nn

import difrun as api
from difrun.data import GaussianMixture
from difrun.errors import ConfigError, DifrunError
from difrun.model import ExactMixture
from difrun.plugin import own
from difrun_ou.process import OrnsteinUhlenbeck

from . import support
from .python_calls import TINY, X
from .support import attempt, difrun, samples, without_pictures


class Net(nn.Module):
    """A network of one's own."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x, level):
        """F(x, c)."""
        return self.layers(torch.cat([x, level.expand(len(x))[:, None]], 1))


def spread(samples, reference, *, power: float = 1.0):
    """A metric of one's own: the ratio of the deviations, to a power."""
    return {"spread": float((samples.std() / reference.std()) ** power)}


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return Net()


@pytest.fixture(scope="module")
def of_objects(runs, network):
    notes = []
    with without_pictures():
        run = api.run(
            process="ou",
            model=network,
            metric=[spread, "energy"],
            dataset=X,
            out=runs / "objects",
            options={**TINY, "metric.spread.power": 2.0},
            n=100,
            steps=3,
            listener=notes.append,
        )
    return run, notes


def test_a_network_is_trained_as_a_copy_and_recorded(of_objects, network):
    run, notes = of_objects
    weights = dict(run.parts.model.network.named_parameters())
    assert weights.keys() == dict(network.named_parameters()).keys()
    assert not torch.equal(weights["layers.0.weight"], network.layers[0].weight)
    written = tomllib.loads((run.path / "run.toml").read_text("utf-8"))
    assert written["model"]["name"] == "yours:Net"
    assert written["yours"]["model"]["module"] == Net.__module__
    assert written["yours"]["model"]["class"] == "Net"
    name = own.path_of(spread)
    assert written["metrics"][name] == {"power": 2.0}
    assert written["yours"][f"metric.{name}"]["class"] == "spread"
    assert any("only Python can open this run: difrun.reopen(FOLDER, model=...)" in note for note in notes)
    assert run.metrics["spread"]["value"] == pytest.approx(
        float((run.drawn()[0].std() / 1.0) ** 2), rel=0.3
    )  # the data are scaled to deviation 1


def test_only_python_opens_a_run_of_an_object(of_objects, network):
    run, _ = of_objects
    code, said = attempt("sample", run.path, "--n", 5)
    assert code == 2
    assert "model 'yours:Net' was made in Python" in said
    assert "difrun.reopen(FOLDER, model=...)" in said
    opened = api.reopen(run.path, model=Net(), metric=spread)
    assert torch.equal(opened.samples, run.samples)
    assert torch.equal(api.sample(opened, 20, steps=3), api.sample(run, 20, steps=3))
    with pytest.raises(DifrunError, match=r"yours:Net.*what was given is 'yours:Linear'"):
        api.reopen(run.path, model=nn.Linear(2, 2))
    with pytest.raises(DifrunError):
        api.reopen(run.path, model=Net(width=9), metric=spread)  # weights of another shape
    with pytest.raises(ConfigError, match="takes the kinds of components"):
        api.reopen(run.path, models=Net())


MINE = '''
    """A module of a user's."""
    import torch
    from difrun.sampler import Sampler
    from difrun_ou.process import OrnsteinUhlenbeck

    class Slow(OrnsteinUhlenbeck):
        """An Ornstein-Uhlenbeck process at half the rate."""
        def log_alpha(self, t):
            return super().log_alpha(0.5 * t)
        def variance(self, t):
            return super().variance(0.5 * t)

    class Plain(Sampler):
        """DDIM."""
        order = 1
        def __init__(self, *, factor: float = 1.0):
            self.factor = factor
        def step(self, model, x, at, to, state, generator):
            x0 = model.predict(x, at, "x0")
            return to.alpha * x0 + self.factor * to.sigma / at.sigma * (x - at.alpha * x0), None
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import mine

    yield mine
    sys.modules.pop("mine", None)


def test_the_command_opens_a_run_of_importable_classes_if_it_is_allowed_to(mine, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with without_pictures():
        run = api.run(
            process=mine.Slow(theta=0.8),
            sampler=mine.Plain(factor=0.9),
            dataset=X,
            out=folder,
            options=TINY,
            n=100,
            steps=3,
            metric="energy",
        )
    written = tomllib.loads((folder / "run.toml").read_text("utf-8"))
    assert (written["process"]["name"], written["process"]["theta"]) == ("mine:Slow", 0.8)
    assert written["sampler"] == {"name": "mine:Plain", "factor": 0.9}
    assert torch.equal(api.reopen(folder).samples, run.samples)  # this process knows the classes
    monkeypatch.setattr(own, "_known", {})
    code, said = attempt("sample", folder, "--n", 5)
    assert code == 2
    assert (
        "difrun imports no code that a folder or a flag names unless you allow it: DIFRUN_IMPORT=mine" in said
    )
    allowed = {**support.environ(), "DIFRUN_IMPORT": "mine"}
    monkeypatch.setattr(support, "environ", lambda: allowed)
    difrun("sample", folder, "--n", 7, "--out", tmp_path / "seven.npz")
    np.testing.assert_array_equal(samples(tmp_path, "seven.npz"), api.sample(run, 7).numpy())
    with pytest.raises(ConfigError, match=r"says process\.theta = 0\.8; the object that was given has 0\.7"):
        api.reopen(folder, process=mine.Slow(theta=0.7), sampler=mine.Plain)


def test_a_module_that_is_gone_is_told(monkeypatch):
    from difrun.plugin.registry import get_registry

    monkeypatch.setenv("DIFRUN_IMPORT", "nowhere")
    with pytest.raises(ConfigError, match=r"Python finds no module nowhere.*PYTHONPATH"):
        get_registry().get("process", "nowhere:Slow")


def test_a_model_that_needs_no_training_runs_with_its_process_and_data(tmp_path):
    mixture = GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.2])
    model = ExactMixture(mixture, OrnsteinUhlenbeck(horizon=6.0))
    with without_pictures():
        run = api.run(
            model=model, dataset=mixture, out=tmp_path / "exact", n=500, steps=10, metric="sliced-w2"
        )
    assert run.parts.model is model
    assert run.plan.process.options.horizon == 6.0
    assert run.metrics["sliced-w2"]["value"] < 2 * run.metrics["sliced-w2"]["floor"]
    with pytest.raises(ConfigError, match="the model brings its own process"):
        api.run(model=model, process="ou", dataset=mixture)
    with pytest.raises(
        ConfigError, match=r"examples of shape \(2,\); those of the dataset have shape \(3,\)"
    ):
        api.run(model=model, dataset=np.ones((30, 3)) * np.arange(30)[:, None])


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (
            {"process": 3},
            "Invalid value for process: expected the name of a component, a difrun.process",
        ),
        ({"model": "mpl"}, "Did you mean 'mlp'"),
        ({"model": nn.Linear}, "model Linear needs a value for 'in_features'"),
        ({"loss": OrnsteinUhlenbeck()}, "Invalid value for loss"),
        ({"options": {"process.thta": 1}}, r"Unknown option options\['process.thta'\].*Did you mean 'theta'"),
        ({"options": {"process.theta": -1.0}}, r"Invalid value for options\['process.theta'\]"),
        ({"process": OrnsteinUhlenbeck(), "options": {"process.theta": 1.0}}, "process.theta is given twice"),
        ({"steps": 3, "options": {"sample.steps": 4}}, "steps= is given twice"),
        ({"dataset": "points.cvs"}, "points.cvs"),
    ],
)
def test_bad_input_is_refused_in_words(wishes, message, tmp_path):
    with pytest.raises(DifrunError, match=message):
        api.run(out=tmp_path / "run", **wishes)
    assert not (tmp_path / "run").exists()
