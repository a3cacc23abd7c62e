"""Velocity matching against closed forms."""

import pytest
import torch
from scipy import stats

from difrun.data import GaussianMixture
from difrun.model import ExactMixture, TrainableModel
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP
from difrun_flow.loss import flow
from difrun_flow.process import RectifiedFlow

PROCESSES = [RectifiedFlow(), ReferenceVP(), ReferenceVE()]
IDS = ["flow", "vp", "ve"]
N = 20000
TIMES = {"uniform": {}, "logit-normal": {"mean": -0.5, "std": 0.8}}


class Zero(TrainableModel):
    """u_θ = 0 in the straight frame."""

    def __init__(self, process):
        self.process = process

    def predict(self, x, at, kind):
        assert kind == "straight"
        return torch.zeros_like(x)


@pytest.mark.parametrize("process", PROCESSES, ids=IDS)
def test_the_target_is_the_difference_of_noise_and_data(process):
    """With u_θ = 0 and x_0 ~ N(0, I) 3/2 the loss of an example, ‖ε − x_0‖²/d, is χ² with 3 degrees of freedom."""
    data = torch.randn(N, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = 1.5 * flow()(Zero(process), data, Generator(1))
    assert stats.kstest(values.numpy(), stats.chi2(3).cdf).pvalue > 1e-6


@pytest.mark.parametrize("process", PROCESSES, ids=IDS)
def test_couples_are_kept_together(process):
    """With given noise x_t = α x_0 + σ ε and the target is ε − x_0, example by example."""
    data, noise = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = flow().draw(Zero(process), data, Generator(1), noise)
    at = process.at(drawn["t"], 2)
    torch.testing.assert_close(drawn["x"], at.alpha * data + at.sigma * noise)
    torch.testing.assert_close(drawn["target"], noise - data)


@pytest.mark.parametrize("times", list(TIMES))
def test_the_exact_velocity_leaves_what_cannot_be_known(times):
    """For data N(m, v) the least loss at t is v/(α²v + σ²), the variance of ε − x_0 given x_t.

    Within 5 standard errors of its integral over the distribution of t: uniform, or logit(t) ~ N(−0.5, 0.8²).
    """
    process, v = PROCESSES[0], 0.3
    mixture = GaussianMixture([1.0], [[1.0, -0.5]], [v])
    data = mixture.sample(N, torch.Generator().manual_seed(0))
    losses = flow(times=times, **TIMES[times])(ExactMixture(mixture, process), data, Generator(1))
    t = torch.linspace(process.t_min, 1, 200001, dtype=torch.float64)[:-1]
    bell = torch.exp(-0.5 * ((t.logit() + 0.5) / 0.8) ** 2) / (t * (1 - t))
    density = torch.ones_like(t) if times == "uniform" else bell
    left = v / ((1 - t) ** 2 * v + t**2)
    expected = torch.trapezoid(density * left, t) / torch.trapezoid(density, t)
    assert losses.mean().item() == pytest.approx(expected.item(), abs=5 * losses.std().item() / N**0.5)


@pytest.mark.parametrize("process", PROCESSES, ids=IDS)
def test_times_follow_the_named_distribution(process):
    """Kolmogorov–Smirnov of t, and of logit(t/T), over [t_min, T]."""
    span = process.horizon - process.t_min
    drawn = {
        times: flow(times=times, **TIMES[times]).draw(
            Zero(process), torch.zeros(N, 1).double(), Generator(2)
        )["t"]
        for times in TIMES
    }
    assert stats.kstest(drawn["uniform"].numpy(), stats.uniform(process.t_min, span).cdf).pvalue > 1e-6
    logit = (drawn["logit-normal"] / process.horizon).logit().numpy()
    assert stats.kstest(logit, stats.norm(-0.5, 0.8).cdf).pvalue > 1e-6


def test_options_that_would_be_ignored_are_refused():
    for given, named in (
        ({"mean": -3.0}, "mean; leave it"),
        ({"mean": -3.0, "std": 0.1}, "mean and std; leave them"),
    ):
        with pytest.raises(ValueError, match=f"only logit-normal times have {named}"):
            flow(**given)
    with pytest.raises(ValueError, match=r"'times' must be in \('uniform', 'logit-normal'\) \(got 'foo'\)"):
        flow(times="foo")
