"""Components of a plugin that make the wrong thing: one message that names the component, before any training."""

import math

import pytest
import torch

from difrun.metric import measure
from difrun.plugin import registry

from .support import SMALL, difrun, plugin

ENTRY = """
from difrun.api import Component, hookimpl

def parts(*names, **more):
    return [Component(name, f"difrun_wrong_parts:{name.replace('-', '_')}", "Wrong.", **more) for name in names]

@hookimpl
def difrun_processes():
    return parts("nothing", "backwards", provides={"gaussian", "sde", "ode"}, requires={"real"})

@hookimpl
def difrun_datasets():
    return parts("numbers", "misnamed", provides={"real"})

@hookimpl
def difrun_grids():
    return parts("endless", "broken-grid")

@hookimpl
def difrun_models():
    names = "no-output", "flat-output", "whole-output", "detached", "lazy"
    return parts(*names, provides={"network"})

@hookimpl
def difrun_losses():
    return parts("word", requires={"network", "gaussian"})

@hookimpl
def difrun_samplers():
    names = "three", "none-step", "flat-step", "double-step", "exit-step", "meta-step", "odd-order", "closing-step"
    return parts(*names, requires={"gaussian"})

@hookimpl
def difrun_guidances():
    return parts("lost")

@hookimpl
def difrun_metrics():
    return parts("bare", "none", "not-a-number", "huge", "names", "empty", "vector", "text", "lost-way")
"""

PARTS = """
import itertools, os, sys
import torch
from difrun.data import Dataset
from difrun.process import GaussianProcess
from difrun.sampler import Sampler

def nothing(): pass
def numbers(seed): return torch.zeros(100, 2)
def word(): return "loss"
def three(): return 3
def lost(model): return None

def network(change, layer=torch.nn.Linear, sizes=(2, 2)):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer(*sizes)
        def forward(self, x, level):
            return change(self.layer(x))
    return Network

no_output = network(lambda y: None)
flat_output = network(lambda y: y[:, :1])
whole_output = network(lambda y: y.long())
detached = network(lambda y: y.detach())
lazy = network(lambda y: y, torch.nn.LazyLinear, (2,))

def stepping(move):
    class Step(Sampler):
        order = 1
        def step(self, model, x, at, to, state, generator):
            return move(x), None
    return Step

none_step = stepping(lambda x: None)
flat_step = stepping(lambda x: x[:, 0])
double_step = stepping(lambda x: x.double())
exit_step = stepping(lambda x: exit(3))
meta_step = stepping(lambda x: x.to("meta"))
closing_step = stepping(lambda x: sys.exit(4) if os.close(2) else x)
odd_order = type("Odd", (none_step,), {"order": "two"})
def endless(process): return itertools.count()
def broken_grid(process): return [process.horizon, float("nan"), 0.1]
def misnamed(seed): return Dataset(name=5, train=torch.zeros(100, 2), held_out=torch.zeros(9, 2))
class backwards(GaussianProcess):
    horizon = -1.0
    def log_alpha(self, t): return -t
    def variance(self, t): return t

def bare(samples): return 3.0
def none(samples): return None
def not_a_number(samples): return {"gap": float("nan")}
def huge(samples): return {"gap": 10**400}
def names(samples): return {1: 2.0}
def empty(samples): return {}
def vector(samples): return {"gap": torch.zeros(3)}
def text(samples): return {"gap": "wide"}
def lost_way(samples): raise RecursionError("round and round")
"""


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    plugin(site, "difrun-wrong", ENTRY)
    (site / "difrun_wrong_parts.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(registry, "_cached", None)
    monkeypatch.chdir(tmp_path)


RUN = SMALL[: SMALL.index("--metric")]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--process", "nothing"),
            "process 'nothing' (difrun-wrong) returned None; expected a difrun.process.",
        ),
        (
            ("--dataset", "numbers"),
            "dataset 'numbers' (difrun-wrong) returned an object of torch.Tensor; expected",
        ),
        (
            ("--loss", "word"),
            "loss 'word' (difrun-wrong) returned an object of builtins.str; expected a difrun.loss.",
        ),
        (
            ("--sampler", "three"),
            "sampler 'three' (difrun-wrong) returned an object of builtins.int; expected",
        ),
        (("--guidance", "lost"), "guidance 'lost' (difrun-wrong) returned None; expected a difrun.model."),
        (("--sampler", "none-step"), "with the shape, the dtype and the device that it got"),
        (("--sampler", "flat-step"), "with the shape, the dtype and the device that it got"),
        (("--sampler", "double-step"), "it returned torch.float64"),
        (("--sampler", "meta-step"), "it returned torch.float32, (400, 2), meta"),
        (("--sampler", "closing-step"), "OSError in <lambda>"),
        (
            ("--sampler", "odd-order"),
            "sampler 'odd-order' (difrun-wrong): its attribute order is two; expected",
        ),
        (("--grid", "endless"), "grid 'endless' (difrun-wrong) failed: sampling times: there are more than"),
        (("--grid", "broken-grid"), "grid 'broken-grid' (difrun-wrong) failed: sampling times must strictly"),
        (("--dataset", "misnamed"), "the name of a dataset must be text, not 5."),
        (
            ("--process", "backwards"),
            "process 'backwards' (difrun-wrong): its horizon is -1.0; expected a finite",
        ),
        (("--sampler", "exit-step"), "sampler 'exit-step' (difrun-wrong) failed: SystemExit in"),
    ],
)
def test_a_component_that_makes_the_wrong_thing_is_named(wrong, flags, message):
    said = difrun(*RUN, *flags, "--threads", 1, "--metric", "sliced-w2", "--out", "x", code=1)
    assert message in said, said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "no-output",
            "tensor of real numbers with the shape of its input, (64, 2); it returned NoneType",
        ),
        ("flat-output", "with the shape of its input, (64, 2); it returned torch.float32, (64, 1)."),
        ("whole-output", "with the shape of its input, (64, 2); it returned torch.int64, (64, 2)."),
        (
            "detached",
            "The loss does not depend on the weights: the network has none that are trained, detaches",
        ),
        ("lazy", "model 'lazy' (difrun-wrong) has lazy layers, whose sizes are not known"),
    ],
)
def test_a_network_whose_output_cannot_be_trained_is_refused(wrong, model, message):
    said = difrun(
        "--train.batch", 64, "--model", model, "--metric", "sliced-w2", "--threads", 1, "--out", "x", code=1
    )
    assert message in said, said


def test_metrics_that_return_no_numbers_are_left_out_and_named(wrong):
    wrong_ones = ("bare", "none", "not-a-number", "huge", "names", "empty", "vector", "text", "lost-way")
    metrics = (*wrong_ones, "sliced-w2")
    flags = [part for name in metrics for part in ("--metric", name)]
    said = difrun(*RUN, *flags, "--threads", 1, "--out", "x")
    for name in metrics[:-1]:
        assert f"metric '{name}' (difrun-wrong) failed: " in said, said
    assert "bare must return a dict, name -> number; it returned 3.0" in said
    assert "not_a_number returned nan for gap; expected a finite number" in said
    assert "huge returned 10^400 or so for gap; expected a finite number" in said
    assert "sliced-w2 " in said


@pytest.mark.parametrize("value", [math.nan, math.inf, None, 10**400, "x", torch.zeros(2)])
def test_a_metric_from_python_must_return_finite_numbers(value):
    from difrun.data.toy import rings

    data = rings(seed=0, n=100)

    def gap(samples):
        return {"gap": value}

    with pytest.raises(ValueError, match="gap; expected a finite number"):
        measure(gap, data.train[:40], data, seed=0)
