"""Guidance that is off leaves no trace: samples, prior, moments and labels are those of the model, bit for bit."""

import pytest
import torch

from difrun.guidance import Context
from difrun.model import ExactMixture
from difrun.process import GaussianProcess
from difrun.sampler import Ancestral, Heun, generate
from difrun.sampler.adams import Adams
from difrun.testing.references import ReferenceVE, ReferenceVP
from difrun_guidance.labels.cfg import cfg
from difrun_guidance.labels.classifier import classifier

from .overlapping import CLASS_OF_COMPONENT, MIXTURE, exact, labelled


class Remembering(GaussianProcess):
    """x_T keeps α_T = e^−1/2 of the data, so that its prior shifts the weights of modes."""

    horizon = 1.0

    def log_alpha(self, t):
        return -0.5 * t

    def variance(self, t):
        return -torch.expm1(-t)


class WithShares(ExactMixture):
    """A model that is sampled in the shares of its classes, as a trained one is."""

    shares = (0.5, 0.5)


PROCESSES = [Remembering(), ReferenceVP(), ReferenceVE()]
SAMPLERS = [Heun(), Adams(), Ancestral()]


def model_of(process, kind):
    return kind(MIXTURE, process, CLASS_OF_COMPONENT)


def times(process):
    return process.time_at(torch.linspace(*process.lam_range, 9, dtype=torch.float64)).tolist()


def draws(model, labels, sampler, n=12):
    return generate(sampler, model, n, times(model.process), seed=3, chunk=5, labels=labels)


@pytest.mark.parametrize("kind", [ExactMixture, WithShares])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda made: type(made).__name__)
@pytest.mark.parametrize("process", PROCESSES, ids=lambda made: type(made).__name__)
def test_guidance_that_is_off_draws_the_samples_of_the_model(process, sampler, kind):
    """cfg at 1 and the classifier at 0, with labels and without; cfg at 0 is the model of any class, whatever the
    labels."""
    model, labels = model_of(process, kind), torch.tensor([0, 1, -1, 1] * 3)
    context = Context(labelled())
    for off in (cfg(model, scale=1.0), classifier(model, context=context, scale=0.0, exact=True)):
        for asked in (None, labels):
            assert torch.equal(draws(off, asked, sampler), draws(model, asked, sampler))
        assert off.shares == model.shares
    everything, free = cfg(model, scale=0.0), draws(model, None, sampler)
    for asked in (None, labels, torch.ones(12, dtype=torch.int64)):
        assert torch.equal(draws(everything, asked, sampler), free)


def test_at_scale_0_nothing_of_the_class_is_left():
    """Prior, moments, shares and labels are those of all classes; what are no labels is refused as before."""
    model, labels = model_of(Remembering(), WithShares), torch.zeros(6, dtype=torch.int64)
    off = cfg(model, scale=0.0)
    assert off.shares == ()
    assert off.classes == 2
    asked = off.condition_on(labels)
    assert torch.equal(asked.prior(6, 1), model.prior(6, 1))
    assert not torch.equal(model.condition_on(labels).prior(6, 1), model.prior(6, 1))
    assert all(torch.equal(a, b.expand_as(a)) for a, b in zip(asked.moments(), model.moments(), strict=True))
    assert torch.equal(off.cov, model.cov)
    assert asked.rows(slice(2)).labels.tolist() == [-1, -1]
    with pytest.raises(Exception, match="no class number 7"):
        off.condition_on(labels + 7)


@pytest.mark.parametrize("of", [0, 1])
def test_at_scale_0_the_share_of_each_class_is_that_of_the_data(of):
    """4 000 samples asked for one class: half are of either, to 5 standard errors; most were of the one before."""
    model = model_of(Remembering(), ExactMixture)
    labels = torch.full((4000,), of)
    grid = model.process.time_at(torch.linspace(*model.process.lam_range, 41, dtype=torch.float64)).tolist()
    x = generate(Heun(), cfg(model, scale=0.0), 4000, grid, seed=1, labels=labels)
    found = generate(Heun(), model, 4000, grid, seed=1)
    assert torch.equal(x, found)
    posterior = model.log_posterior(x.double(), model.process.at(model.process.t_min)).argmax(1)
    assert (posterior == of).double().mean().item() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("scale", "low", "high", "share"),
    [
        (0.5, 0.0, 1e9, 0.5),
        (0.25, 0.0, 1e9, 0.25),
        (2.0, 0.0, 1e9, 1.0),
        (0.0, 0.0, 0.1, 1.0),
        (0.0, 0.1, 1e9, 0.0),
    ],
)
def test_the_prior_is_that_of_the_strength_at_the_start(scale, low, high, share):
    """Mean and variance lie between those of all classes and of the class, in the proportion s at T, at most 1."""
    model, labels = exact(Remembering()), torch.tensor([0, 1, -1])
    own, overall = model.condition_on(labels).moments(), model.moments()
    found = cfg(model, scale=scale, low=low, high=high).condition_on(labels).moments()
    for got, one, every in zip(found, own, overall, strict=True):
        torch.testing.assert_close(got, share * one + (1 - share) * every, rtol=1e-12, atol=1e-12)
