"""A plugin whose code fails in a run: one message that names it, and the traceback where one asks for it."""

from pathlib import Path

import pytest

from difrun.errors import DifrunError
from difrun.plugin import registry

from .support import SMALL, difrun, plugin

ENTRY = """
from difrun.api import Component, hookimpl

@hookimpl
def difrun_processes():
    given = {"gaussian", "sde", "ode"}
    return [Component("half", "difrun_rough_parts:Half", "Half a process.", provides=given, requires={"real"})]

@hookimpl
def difrun_samplers():
    return [
        Component("slip", "difrun_rough_parts:Slip", "A slip of the pen.", requires={"gaussian"}),
        Component("halt", "difrun_rough_parts:Halt", "It stops by itself.", requires={"gaussian"}),
    ]

@hookimpl
def difrun_metrics():
    return [
        Component("dent", "difrun_rough_parts:dent", "A dent in it."),
        Component("scratch", "difrun_rough_parts:scratch", "Asks for something else."),
    ]

@hookimpl
def difrun_datasets():
    return [Component("smear", "difrun_rough_parts:smear", "Pictures that ask for something else.")]
"""

PARTS = """
from difrun.data import pictured
from difrun.process import GaussianProcess
from difrun.sampler import Sampler

class Half(GaussianProcess):
    horizon = 1.0

    def log_alpha(self, t):
        return -t

class Slip(Sampler):
    order = 1

    def step(self, model, x, at, to, state, generator):
        return model.prediction(x, at, "x0"), None

def dent(samples, reference, *, generator):
    return {"dent": {}["key"]}

def scratch(samples, refrence):
    return {"scratch": 0.0}

def pictures(scenery):
    return []

@pictured(pictures)
def smear(seed):
    return None

class Halt(Sampler):
    order = 1

    def step(self, model, x, at, to, state, generator):
        raise KeyboardInterrupt
"""


@pytest.fixture
def rough(tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    plugin(site, "difrun-rough", ENTRY)
    (site / "difrun_rough_parts.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(registry, "_cached", None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--process", "half"),
            "process 'half' (difrun-rough) failed: NotImplementedError in variance (schedule.py:",
        ),
        (("--sampler", "slip"), "sampler 'slip' (difrun-rough) failed: AttributeError in "),
        (
            ("--metric", "dent"),
            "metric 'dent' (difrun-rough) failed: KeyError in dent (difrun_rough_parts.py:19): 'key'.",
        ),
    ],
)
def test_a_plugin_that_fails_is_named(rough, flags, message):
    # The run of a metric that fails is finished all the same, without it.
    code = 0 if "--metric" in flags else 1
    said = difrun(*SMALL[: SMALL.index("--metric")], *flags, "--threads", 1, "--out", "x", code=code)
    assert message in said, said
    assert "This is a fault of difrun-rough 1.0: 'difrun doctor --load'" in said
    assert "Traceback" not in said


def test_a_plugin_that_raises_keyboardinterrupt_is_not_taken_for_ctrl_c(rough):
    said = difrun(
        *SMALL[: SMALL.index("--metric")], "--sampler", "halt", "--threads", 1, "--out", "x", code=1
    )
    assert "sampler 'halt' (difrun-rough) failed: KeyboardInterrupt in step (difrun_rough_parts.py:" in said


def test_a_metric_with_a_wrong_signature_is_refused_before_training(rough):
    said = difrun(*SMALL[: SMALL.index("--metric")], "--metric", "scratch", "--out", "x", code=1)
    assert "metric 'scratch' (difrun-rough): a metric may ask for samples, reference, " in said
    assert "train" not in said
    assert not Path("x").exists()


def test_the_cause_has_the_traceback(rough, tmp_path):
    import difrun as api

    with pytest.raises(DifrunError, match="process 'half'") as caught:
        api.start(api.resolve({"process": "half"}, {"": {"threads": 1}}), tmp_path / "x")
    assert isinstance(caught.value.__cause__, NotImplementedError)
    assert caught.value.__cause__.__traceback__ is not None


def test_a_fault_that_is_no_plugins_keeps_its_own_name(monkeypatch, tmp_path):
    import difrun as api

    def broken(*_, **__):
        raise KeyError("the core's own")

    monkeypatch.setattr("difrun.runs.opening.build", broken)
    with pytest.raises(KeyError, match="the core's own"):
        api.start(api.resolve({"process": "ou"}, {"": {"threads": 1}}), tmp_path / "x")


def test_doctor_finds_them_all(rough):
    """Each is made and used as a run would: one problem per component, with its traceback."""
    said = difrun("doctor", "--load", code=1)
    assert "process 'half' (difrun-rough) failed: NotImplementedError in variance (schedule.py:" in said
    assert "sampler 'slip' (difrun-rough) failed: AttributeError in" in said
    assert "metric 'dent' (difrun-rough) failed: KeyError in dent" in said
    assert "sampler 'halt' (difrun-rough) failed: KeyboardInterrupt in step" in said
    assert said.count("Traceback") == 4
    assert "metric 'scratch' (difrun-rough): a metric may ask for samples, reference, " in said
    assert "`scratch` asks for `refrence`: did you mean `reference`?" in said
    assert (
        "dataset 'smear' (difrun-rough): a function that draws the pictures of a dataset may ask for scene; "
        in said
    )
    assert said.endswith("6 problems found.\n")


def test_a_sound_installation_has_nothing_to_look_at():
    """Every component of every plugin here goes through a tiny run."""
    assert "No problem found" in difrun("doctor", "--load")
