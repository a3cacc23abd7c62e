"""What a run says of the evaluations of the network, where a scheduler of two stages ends at the data."""

import numpy as np
import pytest

import difrun
from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun.process.tabulated import TabulatedProcess

CHAIN = TabulatedProcess.from_betas(np.linspace(1e-4, 0.02, 1000))
MODEL = ExactMixture(GaussianMixture([1.0], [[0.5, -1.0]], [0.04]), CHAIN)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("sampler", "grid", "evaluations"),
    [
        ("diffusers-euler", "diffusers", 5),
        ("diffusers-heun", "diffusers", 9),
        ("diffusers-kdpm2", "diffusers", 9),
        ("diffusers-heun", "rho", 10),  # ends at the first level of the table
        ("heun", "rho", 10),
    ],
)
def test_the_last_step_to_the_data_takes_one_evaluation(sampler, grid, evaluations, tmp_path, monkeypatch):
    monkeypatch.setattr("difrun.runs.run.Run._report", lambda self, redraw: None)
    run = difrun.run(
        model=MODEL,
        dataset=np.random.default_rng(0).normal(size=(60, 2)),
        sampler=sampler,
        grid=grid,
        steps=5,
        n=40,
        metric="energy",
        options={"threads": 1, "device": "cpu", "chunk": 25},
        out=tmp_path / "run",
    )
    assert run.facts["samples"]["evaluations"] == evaluations
