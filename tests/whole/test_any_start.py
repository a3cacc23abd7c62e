"""Every Gaussian process with every sampler, on grids that start below T and on grids that end at t = 0."""

import pytest
import torch

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.model import ExactMixture
from difrun.plugin import get_registry
from difrun.sampler import generate

from .support import processes_made_alone

REGISTRY = get_registry()
MEAN, VAR = torch.tensor([1.5, -0.5]), torch.tensor([0.5, 0.1])
LAW = GaussianMixture([1.0], MEAN[None].double(), VAR.diag()[None].double())
"""One Gaussian along the axes: its moments say all of x_t, so that a start from them is exact at any time."""

N = 1500
GAUSSIAN = [entry for entry in processes_made_alone() if "gaussian" in entry.component.provides]
PAIRS = [
    (process, sampler)
    for process in GAUSSIAN
    for sampler in REGISTRY.entries("sampler")
    if sampler.label in REGISTRY.compatible("sampler", {"process": process}) and sampler.label != "tuned"
]


def times_from(process, lam, end):
    """30 steps equal in λ from λ(t) = `lam` to t_min, and on to `end` if there is one."""
    grid = process.time_at(torch.linspace(lam, process.lam_range[1], 31, dtype=torch.float64)).tolist()
    return grid if end is None else [*grid, end]


@pytest.mark.parametrize("end", [None, 0.0], ids=["to t_min", "to 0"])
@pytest.mark.parametrize(("process", "sampler"), PAIRS, ids=lambda entry: entry.label)
def test_samples_from_any_start_have_the_moments_of_the_data(process, sampler, end):
    """From σ/α = 1.6: mean and variance within 5 standard errors and 7 % of the deviation. The prior of T would be
    several deviations off."""
    made = process.load()()
    times = times_from(made, -0.5, end)
    x = generate(sampler.load()(), ExactMixture(LAW, made), N, times, seed=2).double()
    deviation = VAR.double().sqrt()
    assert ((x.mean(0) - MEAN).abs() < 5 * deviation / N**0.5 + 0.07 * deviation).all()
    assert ((x.var(0) / VAR - 1).abs() < 5 * (2 / N) ** 0.5 + 0.14).all()


@pytest.mark.parametrize("process", GAUSSIAN, ids=lambda entry: entry.label)
def test_two_times_are_one_step(process):
    """[t, 0] is one step to E[x_0 | x_t] by any sampler, and [T, 0] its mean over the prior."""
    made = process.load()()
    model = ExactMixture(LAW, made)
    for sampler in ("heun", "adams", "ancestral", "euler"):
        for start in (made.time_at(0.0), made.horizon):
            x = generate(REGISTRY.get("sampler", sampler).load()(), model, N, [start, 0.0], seed=1).double()
            assert x.isfinite().all()
            error = x.std(0) / N**0.5
            assert ((x.mean(0) - MEAN).abs() < 5 * error + 1e-3).all(), (sampler, start)


@pytest.mark.parametrize("process", processes_made_alone(), ids=lambda entry: entry.label)
def test_noise_that_follows_no_path_is_refused(process):
    if "gaussian" in process.component.provides:
        pytest.skip("Gaussian processes have Brownian noise")

    class Model:
        shape, mean = (3, 3), torch.zeros(3, 3)

    Model.process = process.load()()
    sampler = REGISTRY.get("sampler", "ancestral").load()()
    with pytest.raises(DifrunError, match="brownian is for Gaussian"):
        generate(sampler, Model(), 3, [1.0, 0.0], noise="brownian")
