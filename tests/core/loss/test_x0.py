"""The losses that have a name: weighted regressions to x_0."""

import pytest
import torch
from tests.core.networks import Wave

from difrun.loss import WEIGHTS, LogitNormal, LogSNR, Regression, Uniform
from difrun.loss.base import edm, min_snr, uniform
from difrun.loss.x0 import min_snr_loss
from difrun.loss.x0 import x0 as x0_loss
from difrun.model import NetworkModel
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP, two_gaussians


@pytest.mark.parametrize("gamma", [0.5, 5.0, 40.0])
def test_min_snr_is_the_snr_loss_up_to_its_bound(gamma):
    """For each example: the loss of the noise where SNR ≤ γ, and γ/SNR of it elsewhere; both happen."""
    process = ReferenceVP()
    x0 = two_gaussians().sample(400, torch.Generator().manual_seed(1))
    model = NetworkModel(Wave().double(), process, (2,), mean=x0.mean(0), var=x0.var(0))
    drawn = min_snr_loss(gamma=gamma).draw(model, x0, Generator(4))
    # 1/SNR from the level ¼ ln(σ/α) that the network is given.
    inverse = torch.exp(8 * drawn["level"].double()).flatten()
    noise = Regression("noise", uniform, LogSNR())(model, x0, Generator(4))
    bounded = min_snr_loss(gamma=gamma)(model, x0, Generator(4))
    above = gamma * inverse < 1
    assert 50 < above.sum() < 350
    torch.testing.assert_close(bounded[~above], noise[~above], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(bounded[above], (gamma * inverse * noise)[above], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("weighting", list(WEIGHTS))
def test_the_loss_of_x0_is_weighted_by_name(weighting):
    """Per example, w times the plain loss of x_0, with σ_d that of the model."""
    process = ReferenceVE()
    x0 = two_gaussians().sample(60, torch.Generator().manual_seed(1))
    model = NetworkModel(Wave().double(), process, (2,), mean=x0.mean(0), var=x0.var(0))
    plain = x0_loss(times="log-normal")
    drawn = plain.draw(model, x0, Generator(4))
    snr_ = torch.exp(-8 * drawn["level"].double()).flatten()
    data_var = x0.var(0).mean()
    weight = {
        "uniform": torch.ones_like(snr_),
        "snr": snr_,
        "min-snr": snr_.clamp(max=5),
        "edm": snr_ + 1 / data_var,
    }
    weighted = x0_loss(weighting=weighting, times="log-normal")(model, x0, Generator(4))
    torch.testing.assert_close(
        weighted, weight[weighting] * plain(model, x0, Generator(4)), rtol=1e-5, atol=1e-9
    )


def test_the_named_losses_are_combinations():
    assert x0_loss(weighting="edm", times="uniform") == Regression("x0", edm, Uniform())
    assert x0_loss() == Regression("x0", uniform, LogSNR())
    built = min_snr_loss(gamma=2.0, times="logit-normal")
    assert (built.kind, built.times) == ("x0", LogitNormal())
    at = ReferenceVE().at(0.1)
    assert built.weight(at, 1.0) == 2.0 == min_snr(2.0)(at, 1.0)


def test_unknown_names_are_refused():
    for make, given, message in (
        (x0_loss, {"weighting": "foo"}, r"'weighting' must be in .*min-snr.* \(got 'foo'\)"),
        (x0_loss, {"times": "foo"}, r"'times' must be in .*logit-normal.* \(got 'foo'\)"),
        (min_snr_loss, {"times": "foo"}, r"'times' must be in .*logit-normal.* \(got 'foo'\)"),
        (min_snr_loss, {"gamma": 0.0}, "'gamma' must be > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**given)
