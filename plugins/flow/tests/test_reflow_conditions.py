"""Reflow of a run whose data have a condition of numbers."""

import numpy as np
import pytest
import torch

from difrun.config import resolve
from difrun.errors import DifrunError
from difrun.runs import reopen, start
from difrun.runs.build import grid_times
from difrun.sampler import integrate
from difrun_flow.process import RectifiedFlow
from difrun_flow.reflow import reflow

FLOW = RectifiedFlow()
SMALL = {"model": {"width": 48, "depth": 2}, "": {"device": "cpu", "threads": 1}}


def test_couples_have_the_conditions_of_the_run(tmp_path):
    """Each sample is where the flow given its own condition carries its noise; a second run keeps the conditions."""
    threads = torch.get_num_threads()
    few = {**SMALL, "train": {"steps": 40, "batch": 256, "lr": 4e-3}}
    plan = resolve({"process": "flow", "dataset": "gmm-given"}, few)
    first = start(plan, tmp_path / "first")
    first.train()
    data = reflow(seed=1, run=tmp_path / "first", n=900, steps=10)
    c = first.parts.dataset.condition
    assert torch.equal(data.condition.train, c.train[:900])
    assert torch.equal(data.condition.held_out, c.held_out)
    assert data.conditional is first.parts.dataset.conditional or data.conditional is not None
    sampler = first.plan.sampler.make()
    times = grid_times(first.plan.grid, first.model, 10, sampler)
    for given, same in ((c.train[:200], True), (c.train[200:400], False)):
        model = first.model.condition_on(given)
        end = integrate(sampler, model, data.noise[:200], times) / FLOW.at(FLOW.t_min).alpha
        near = (end - data.train[:200]).square().sum(1).mean().sqrt().item()
        assert (near < 1e-4) == same, near
    given = {**few, "dataset": {"run": tmp_path / "first", "n": 400, "steps": 10}, "train": {"steps": 10}}
    second = start(resolve({"process": "flow", "dataset": "reflow"}, given), tmp_path / "second")
    second.train()
    assert second.model.condition_shape == (1,)
    again = reopen(tmp_path / "second").parts.dataset
    assert torch.equal(again.condition.train, second.parts.dataset.condition.train)
    assert again.conditional is not None
    torch.set_num_threads(threads)


def test_couples_of_a_model_without_its_condition_have_none(tmp_path):
    given = {**SMALL, "train": {"steps": 5, "label_dropout": 1.0}, "dataset": {"n": 200}}
    first = start(resolve({"process": "flow", "dataset": "gmm-given"}, given), tmp_path / "first")
    first.train()
    data = reflow(seed=1, run=tmp_path / "first", n=50, steps=2)
    assert data.condition is None
    assert data.conditional is None


def test_couples_of_a_model_that_fills_gaps_are_refused(tmp_path):
    rows = np.random.default_rng(0).normal(size=(100, 2))
    np.savetxt(tmp_path / "rows.csv", rows, delimiter=",", header="a,b", comments="")
    given = {**SMALL, "train": {"steps": 5}}
    given["dataset"] = {"path": tmp_path / "rows.csv", "missing": "condition"}
    first = start(resolve({"process": "flow", "dataset": "file"}, given), tmp_path / "first")
    first.train()
    with pytest.raises(DifrunError, match=r"fills gaps in x itself.*--train.label-dropout 1"):
        reflow(seed=1, run=tmp_path / "first", n=50)
