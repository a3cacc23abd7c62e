"""Rules for samplers of Gaussian processes."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from difrun.builtin.grids import logsnr
from difrun.exact import ExactMixture
from difrun.gaussian import GaussianProcess
from difrun.integrate import generate, integrate
from difrun.model import Counted, ScoreModel
from difrun.randomness import Generator
from difrun.testing.references import (
    CountedNoise,
    Disturbed,
    NoNoise,
    ReferenceVP,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun.testing.select import GAUSSIAN_RUN, Subject, check, global_randomness_untouched

USABLE = GAUSSIAN_RUN | {"exact"}
STEPS = (40, 80, 160)


def exact(process: GaussianProcess) -> ExactMixture:
    return ExactMixture(two_gaussians(), process)


def start(model: ScoreModel, n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    shape = (n, *model.shape)
    return model.process.prior(shape, mean=model.mean, var=model.var, generator=seed, dtype=dtype)


@cache
def endpoint(process: GaussianProcess) -> Tensor:
    model = exact(process)
    return probability_flow_endpoint(model, start(model, 32))


@check("sampler", alone_in=USABLE)
def draws_from_the_law_of_the_data(subject: Subject) -> None:
    """With the exact score of two Gaussians, samples have their mean and covariance.

    Allowed: 5 standard errors of 3000 samples, and twice the change that doubling the steps (75 to 150) makes, which
    bounds what remains of an error of order 1; that change must itself be below a tenth of the standard deviation.
    """
    truth, n = two_gaussians(), 3000
    for process in subject.partners:
        sampler, model = subject.make(), exact(process)
        coarse, fine = (
            integrate(sampler, model, start(model, n), logsnr(process, k), generator=1) for k in (75, 150)
        )
        scale = truth.var.sqrt()
        change = (fine.mean(0) - coarse.mean(0)).abs()
        assert (change < 0.1 * scale).all(), f"{process!r}: the mean changes by {change}"
        error = 5 * scale / n**0.5 + 2 * change
        assert ((fine.mean(0) - truth.mean).abs() < error).all(), f"{process!r}: mean {fine.mean(0)}"
        centred = fine - fine.mean(0)
        products = centred[:, :, None] * centred[:, None, :]
        change = (products.mean(0) - torch.cov(coarse.T)).abs()
        assert (change < 0.1 * scale[:, None] * scale).all(), (
            f"{process!r}: the covariance changes by {change}"
        )
        error = 5 * products.std(0) / n**0.5 + 2 * change
        assert ((products.mean(0) - truth.cov).abs() < error).all(), (
            f"{process!r}: covariance {products.mean(0)}"
        )


@check("sampler", alone_in=USABLE)
def converges_at_its_declared_order(subject: Subject) -> None:
    """A deterministic sampler nears the exact end of the probability flow as steps^−order, ±0.25, from 40 to 160."""
    sampler = subject.make()
    assert isinstance(sampler.order, int | float)
    assert sampler.order >= 1
    if sampler.stochastic:
        return  # its endpoint is no function of its start; `draws_from_the_law_of_the_data` judges it
    for process in subject.partners:
        model, truth = exact(process), endpoint(process)
        errors = [
            (integrate(sampler, model, start(model, 32), logsnr(process, k)) - truth)
            .square()
            .mean()
            .sqrt()
            .item()
            for k in STEPS
        ]
        assert observed_order(STEPS, errors) == pytest.approx(sampler.order, abs=0.25), (process, errors)


@check("sampler", alone_in=USABLE)
def evaluates_the_model_as_often_as_declared(subject: Subject) -> None:
    """Each step calls the model `evaluations` times."""
    sampler = subject.make()
    for steps in (1, 5):
        model = Counted(exact(ReferenceVP()))
        integrate(sampler, model, start(model, 3), logsnr(model.process, steps), generator=1)
        assert model.evaluations == steps * sampler.evaluations


@check("sampler", alone_in=USABLE)
def draws_random_numbers_only_if_stochastic(subject: Subject) -> None:
    """A deterministic sampler asks for no random number; a stochastic one does, and its seed matters."""
    sampler, model = subject.make(), exact(ReferenceVP())
    times = logsnr(model.process, 4)
    if not sampler.stochastic:
        integrate(sampler, model, start(model, 3), times, generator=NoNoise())
        return
    counted = CountedNoise(1)
    first = integrate(sampler, model, start(model, 3), times, generator=counted)
    assert counted.draws > 0
    assert not torch.equal(first, integrate(sampler, model, start(model, 3), times, generator=2))


@check("sampler", alone_in=USABLE)
def repeats_itself(subject: Subject) -> None:
    """One seed gives one result, also after another run: a sampler keeps nothing. Global states are untouched."""
    sampler, model = subject.make(), exact(ReferenceVP())
    times = logsnr(model.process, 6)
    x = start(model, 5)
    before = x.clone()
    with global_randomness_untouched():
        first = integrate(sampler, model, x, times, generator=3)
        integrate(sampler, model, -x, times[1:], generator=4)
        again = integrate(sampler, model, x, times, generator=3)
    assert torch.equal(x, before), "the start was modified in place"
    assert torch.equal(first, again)
    assert torch.equal(first, integrate(subject.make(), model, x, times, generator=3))


@check("sampler", alone_in=USABLE)
def gives_samples_that_do_not_depend_on_their_chunk(subject: Subject) -> None:
    """Sample i is the same, to rounding, whatever the chunk size, and whatever samples stand beside it."""
    sampler, model = subject.make(), exact(ReferenceVP())
    times = logsnr(model.process, 6)
    whole, parts = (
        generate(sampler, model, 10, times, seed=5, chunk=chunk, dtype=torch.float64) for chunk in (10, 3)
    )
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-10)


@check("sampler", alone_in=USABLE)
def takes_one_step_and_one_example(subject: Subject) -> None:
    """One step is enough for a finite answer; a batch of 1 works; float32 and float64 are kept."""
    sampler = subject.make()
    for process in subject.partners:
        model = exact(process)
        for dtype in (torch.float32, torch.float64):
            x = integrate(sampler, model, start(model, 1, dtype=dtype), logsnr(process, 1), generator=1)
            assert x.shape == (1, 2)
            assert x.dtype == dtype
            assert x.isfinite().all()


@check("sampler", alone_in=USABLE)
def keeps_no_autograd_graph(subject: Subject) -> None:
    """Samples of a model with parameters need no gradient."""
    weight = torch.zeros(2, requires_grad=True, dtype=torch.float64)
    model = Disturbed(exact(ReferenceVP()), weight, lambda x, at: 1.0)
    x = integrate(subject.make(), model, start(model, 2), logsnr(model.process, 2), generator=1)
    assert not x.requires_grad


@check("sampler", alone_in=USABLE)
def runs_where_its_tensors_are(subject: Subject) -> None:
    """On the device "meta" no tensor is made on the CPU by mistake."""
    model = exact(ReferenceVP())
    assert generate(subject.make(), model, 3, logsnr(model.process, 2), device="meta").is_meta


@check("sampler", alone_in=USABLE)
def takes_images(subject: Subject) -> None:
    """Examples may have any shape: images are sampled as the vectors of their pixels would be."""
    sampler = subject.make()
    image, vector = _Isotropic((2, 3, 3)), _Isotropic((18,))
    times = logsnr(image.process, 5)
    images = integrate(sampler, image, start(image, 4), times, generator=Generator(2))
    vectors = integrate(sampler, vector, start(vector, 4), times, generator=Generator(2))
    torch.testing.assert_close(images.flatten(1), vectors, rtol=1e-9, atol=1e-10)


class _Isotropic(ScoreModel):
    """The exact model of N(1, ½) in every coordinate, for examples of any shape."""

    kind = "x0"

    def __init__(self, shape: tuple[int, ...]):
        self.process, self.shape = ReferenceVP(), shape
        self.mean, self.var = torch.ones(shape), torch.full(shape, 0.5)

    def forward(self, x: Tensor, at: Any) -> Tensor:
        gain = at.alpha * 0.5 / (at.alpha**2 * 0.5 + at.var)
        return 1 + gain * (x - at.alpha)
