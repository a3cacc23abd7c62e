"""Denoising score matching."""

import pytest
import torch
from scipy import stats

from difrun.data import GaussianMixture
from difrun.model import ExactMixture, TrainableModel
from difrun.randomness import Generator
from difrun_ou.loss import score
from difrun_ou.process import OrnsteinUhlenbeck, VarianceExploding, VariancePreserving

PROCESSES = [OrnsteinUhlenbeck(), VariancePreserving(schedule="cosine"), VarianceExploding()]
IDS = ["ou", "vp-cosine", "ve"]
N = 20000


class Zero(TrainableModel):
    """s_θ = 0."""

    def __init__(self, process):
        self.process = process

    def predict(self, x, at, kind):
        assert kind == "score"
        return torch.zeros_like(x)


@pytest.mark.parametrize("times", ["uniform", "log-snr", "log-normal"])
@pytest.mark.parametrize("process", PROCESSES, ids=IDS)
def test_it_is_the_weighted_error_of_the_score(process, times):
    """With s_θ = 0 the loss of an example is σ² ‖ε/σ‖²/d = ‖ε‖²/d: d times it is χ² with d degrees of freedom."""
    data = torch.zeros(N, 3, dtype=torch.float64)
    values = 3 * score(times=times)(Zero(process), data, Generator(1))
    assert stats.kstest(values.numpy(), stats.chi2(3).cdf).pvalue > 1e-6


@pytest.mark.parametrize("process", PROCESSES, ids=IDS)
def test_the_exact_score_leaves_what_cannot_be_known(process):
    """For data N(m, v) the least loss at t is α²v/(α²v + σ²): its mean over uniform t, within 5 standard errors."""
    v = 0.3
    mixture = GaussianMixture([1.0], [[1.0, -0.5]], [v])
    data = mixture.sample(N, torch.Generator().manual_seed(0))
    losses = score(times="uniform")(ExactMixture(mixture, process), data, Generator(1))
    t = torch.linspace(process.t_min, process.horizon, 20001, dtype=torch.float64)
    at = process.at(t)
    left = at.alpha**2 * v / (at.alpha**2 * v + at.var)
    expected = torch.trapezoid(left, t) / (process.horizon - process.t_min)
    assert losses.mean().item() == pytest.approx(expected.item(), abs=5 * losses.std().item() / N**0.5)


@pytest.mark.parametrize("process", PROCESSES, ids=IDS)
def test_times_follow_the_named_distribution(process):
    """Kolmogorov–Smirnov of ln(σ/α) or t, over [t_min, T]."""
    options = {"uniform": {}, "log-snr": {}, "log-normal": {"p_mean": -0.5, "p_std": 0.8}}
    drawn = {
        times: score(times=times, **more).draw(Zero(process), torch.zeros(N, 1).double(), Generator(2))["t"]
        for times, more in options.items()
    }
    low, high = process.lam_range
    normal = stats.norm(-0.5, 0.8)
    span = normal.cdf(-low) - normal.cdf(-high)
    distributions = {
        "uniform": (drawn["uniform"], stats.uniform(process.t_min, process.horizon - process.t_min).cdf),
        "log-snr": (process.log_snr(drawn["log-snr"]), stats.uniform(low, high - low).cdf),
        "log-normal": (
            -process.log_snr(drawn["log-normal"]),
            lambda x: (normal.cdf(x) - normal.cdf(-high)) / span,
        ),
    }
    for name, (values, cdf) in distributions.items():
        assert stats.kstest(values.numpy(), cdf).pvalue > 1e-6, name


def test_options_that_would_be_ignored_are_refused():
    for options, named in (
        ({"p_mean": 0.0}, "p_mean; leave it"),
        ({"p_mean": 0.0, "p_std": 2.0}, "p_mean and p_std"),
    ):
        with pytest.raises(ValueError, match=f"only log-normal times have {named}"):
            score(times="uniform", **options)
    with pytest.raises(ValueError, match=r"'times' must be in .*log-snr.*got 'foo'"):
        score(times="foo")
