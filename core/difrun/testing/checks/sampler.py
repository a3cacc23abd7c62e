"""Rules for samplers of Gaussian processes."""

import math
from functools import cache

import torch
from torch import Tensor

from difrun.data.mixture import GaussianMixture
from difrun.errors import DifrunError
from difrun.grid.fixed import logsnr
from difrun.model.base import ScoreModel
from difrun.model.exact import ExactMixture
from difrun.model.wrappers import Counted
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler
from difrun.sampler.integration import integrate
from difrun.testing.references import (
    CountedNoise,
    NoNoise,
    affine_moments,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun.testing.rules import GAUSSIAN_RUN, ComponentUnderTest, check
from difrun.testing.verdict import (
    NotTried,
    ensure,
    ensure_different,
    name_of,
    shown,
)

USABLE = GAUSSIAN_RUN | {"exact"}
STEPS = (40, 80, 160)
FINE_STEPS = (160, 320, 640)
"""Numbers of steps for orders above 2, which can only be measured on fine grids."""


def exact(process: GaussianProcess) -> ExactMixture:
    """The exact model of two Gaussians."""
    return ExactMixture(two_gaussians(), process)


def start(model: ScoreModel, n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draws of the prior (n, *shape)."""
    return model.prior(n, seed, dtype=dtype)


@cache
def endpoint(process: GaussianProcess) -> Tensor:
    """The end of the probability flow from `start`, to 1e-10."""
    model = exact(process)
    return probability_flow_endpoint(model, start(model, 32))


def refuses_no_signal(sampler: Sampler, model: ScoreModel) -> bool:
    """Whether a sampler says in words that it does not start where nothing of the data is left."""
    if model.process.at(model.process.horizon).alpha:
        return False
    try:
        integrate(sampler, model, start(model, 1), logsnr(model.process, 1), generator=1)
    except DifrunError:
        return True
    return False


@check("sampler", alone_in=USABLE)
def draws_from_the_distribution_of_the_data(subject: ComponentUnderTest) -> None:
    """With the exact score of two Gaussians, samples have their mean and covariance.

    The allowed error is 5 standard errors of 3000 samples, plus 1.2 times the change when the steps are doubled from
    100 to 200: for a method of order 1, that change is the error that remains. The change itself must be below a
    twentieth of the standard deviation (for a covariance, of the product of two). If the sampler is stochastic, the
    change is a difference of two estimates, and may be larger by 5 of its standard errors. A deterministic sampler of
    order 2 and above gets 40 and 80 steps; one that chooses its own steps (`evaluations_in` is None) 5 and 10.
    """
    truth, n = two_gaussians(), 3000
    counts = _counts(subject.make())
    for process in subject.partners:
        sampler, model = subject.make(), exact(process)
        coarse, fine = (
            integrate(sampler, model, start(model, n), logsnr(process, k), generator=1) for k in counts
        )
        scale = truth.var.sqrt()
        for name, terms, true, unit in (
            ("mean", _identity, truth.mean, scale),
            ("covariance", _products, truth.cov, scale[:, None] * scale),
        ):
            before, after = terms(coarse), terms(fine)
            change = (after.mean(0) - before.mean(0)).abs()
            error = after.std(0) / n**0.5
            noise = 5 * 2**0.5 * error if sampler.stochastic else 0.0
            what = f"the {name} of {n} samples on {name_of(process)} in {counts[1]} steps"
            ensure(
                change < 0.05 * unit + noise,
                f"{what} differs from that in {counts[0]} by {shown(change)}",
                f"less than {shown(0.05 * unit + noise)}",
            )
            bar = 5 * error + 1.2 * change
            ensure(
                (after.mean(0) - true).abs() < bar,
                f"{what}: {shown(after.mean(0))}",
                f"{shown(true)} ± {shown(bar)}",
            )


def _counts(sampler: Sampler) -> tuple[int, int]:
    """Two numbers of steps that are enough for a sampler, the second twice the first."""
    if sampler.evaluations_in(1) is None:
        return 5, 10
    quick = not sampler.stochastic and (sampler.order or 1) >= 2
    return (40, 80) if quick else (100, 200)


def _identity(x: Tensor) -> Tensor:
    return x


def _products(x: Tensor) -> Tensor:
    """The terms whose mean is the covariance."""
    centred = x - x.mean(0)
    return centred[:, :, None] * centred[:, None, :]


@check("sampler", alone_in=USABLE)
def converges_at_its_declared_order(subject: ComponentUnderTest) -> None:
    """The error of a deterministic sampler falls as steps^−order, ±0.25; that of a stochastic one at least as fast.

    The error of a deterministic sampler is its distance to the exact end of the probability flow, from 40 to 160 steps
    (from 160 to 640 if the order is above 2). That of a stochastic sampler is the error of the mean and variance of
    samples of one Gaussian (which may flatter it). They are computed exactly if the step is affine in its noise;
    otherwise the rule is not tried.

    Stochastic samplers may have the order None, and so may samplers that choose their own steps (`evaluations_in` is
    None). The latter must end within 0.01 of the end of the flow on any grid.
    """
    sampler = subject.make()
    if sampler.order is None:
        # `draws_from_the_distribution_of_the_data` bounds the error of a stochastic sampler.
        if not sampler.stochastic:
            ensure_accurate_on_any_grid(sampler, subject.partners)
        return
    declared = isinstance(sampler.order, int | float) and sampler.order >= 1
    ensure(declared, f"order = {sampler.order!r}", "a number, at least 1, or None")
    for process in subject.partners:
        if sampler.stochastic:
            errors = [weak_error(sampler, process, steps) for steps in STEPS]
            observed = observed_order(STEPS, errors) if max(errors) > 1e-9 else math.inf  # exact at any step
            ensure(
                observed > sampler.order - 0.25,
                f"order {observed:.2f} on {name_of(process)}: moments are off by {shown(errors)} in {STEPS} steps",
                f"{sampler.order}, and not less by more than 0.25",
            )
        else:
            counts = STEPS if sampler.order <= 2 else FINE_STEPS
            errors = [endpoint_error(sampler, process, steps) for steps in counts]
            observed = observed_order(counts, errors)
            ensure(
                abs(observed - sampler.order) <= 0.25,
                f"order {observed:.2f} on {name_of(process)}: the end is off by {shown(errors)} in {counts} steps",
                f"{sampler.order} ± 0.25",
            )


def ensure_accurate_on_any_grid(sampler: Sampler, processes: list[GaussianProcess]) -> None:
    """Ensure that a sampler chooses its own steps, and ends within 0.01 of the probability flow."""
    ensure(
        sampler.evaluations_in(1) is None,
        "a deterministic sampler on fixed steps without an order",
        "an order",
    )
    for process in processes:
        for steps in (1, 10, 40):
            error = endpoint_error(sampler, process, steps)
            ensure(error < 0.01, f"off by {error:.3g} on {name_of(process)} in {steps} steps", "0 ± 0.01")


def endpoint_error(sampler: Sampler, process: GaussianProcess, steps: int) -> float:
    """Root mean square distance to the exact end of the probability flow."""
    model = exact(process)
    error = integrate(sampler, model, start(model, 32), logsnr(process, steps)) - endpoint(process)
    return error.square().mean().sqrt().item()


def weak_error(sampler: Sampler, process: GaussianProcess, steps: int) -> float:
    """The norm of `moment_errors`. The rule is not tried if the sampler is not affine in its noise."""
    try:
        return float(moment_errors(sampler, process, steps).norm())
    except ValueError as error:
        raise NotTried(f"{error}: there is no exact distribution to measure the weak order on") from error


def one_gaussian(process: GaussianProcess) -> ExactMixture:
    """The exact model of one Gaussian N(m, diag v)."""
    return ExactMixture(GaussianMixture([1.0], [[1.0, -0.5]], [[[0.2, 0.0], [0.0, 0.5]]]), process)


def moment_errors(sampler: Sampler, process: GaussianProcess, steps: int) -> Tensor:
    """The exact errors of mean and variance of samples of `one_gaussian`, (2d,), over the true deviation and variance.

    Raises:
        ValueError: If the sampler is not affine in its noise.
    """
    model, times = one_gaussian(process), logsnr(process, steps)

    def run(generator: Generator, n: int) -> Tensor:
        x = model.prior(n, generator, dtype=torch.float64)
        return integrate(sampler, model, x, times, generator=generator)

    counted = CountedNoise(1)
    run(counted, 1)
    return relative_errors(process, *affine_moments(run, counted.draws))


def relative_errors(process: GaussianProcess, mean: Tensor, var: Tensor) -> Tensor:
    """How far mean and variance of samples of `one_gaussian` are off, (2d,), over the true deviation and variance."""
    model, end = one_gaussian(process), process.at(process.t_min)
    centre = process.centre_like(mean)
    true_mean, true_var = centre + end.alpha * (model.mean - centre), end.alpha**2 * model.var + end.var
    return torch.cat([(mean - true_mean) / true_var.sqrt(), var / true_var - 1])


@check("sampler", alone_in=USABLE)
def evaluates_the_model_as_often_as_declared(subject: ComponentUnderTest) -> None:
    """Sampling on n steps calls the model `evaluations_in(n)` times, by default `evaluations` per step.

    If that is None, the trajectory decides: there is at least one call per step, and the number per step varies.
    """
    sampler, calls = subject.make(), {}
    for steps in (1, 5):
        model = Counted(exact(subject.partners[0]))
        integrate(sampler, model, start(model, 3), logsnr(model.process, steps), generator=1)
        calls[steps] = model.evaluations
    declared = {steps: sampler.evaluations_in(steps) for steps in calls}
    said = f"{calls[1]} calls in 1 step, {calls[5]} in 5"
    if declared == {1: None, 5: None}:
        ensure(
            sampler.evaluations is None, "evaluations_in is None, but evaluations is not", "both or neither"
        )
        ensure(
            5 <= calls[5] < 5 * calls[1],
            said,
            "5 at least in 5 steps, and fewer per step than in 1; else declare them",
        )
    else:
        ensure(calls == declared, said, f"{declared[1]} and {declared[5]}, as declared")


@check("sampler", alone_in=USABLE)
def draws_random_numbers_only_if_stochastic(subject: ComponentUnderTest) -> None:
    """A deterministic sampler asks for no random number; a stochastic one does, and its seed matters."""
    sampler, model = subject.make(), exact(subject.partners[0])
    times = logsnr(model.process, 4)
    if not sampler.stochastic:
        integrate(sampler, model, start(model, 3), times, generator=NoNoise())
        return
    counted = CountedNoise(1)
    first = integrate(sampler, model, start(model, 3), times, generator=counted)
    ensure(
        counted.draws > 0, "declared to be stochastic, and drew no random number", "draws from the generator"
    )
    second = integrate(sampler, model, start(model, 3), times, generator=2)
    ensure_different(first, second, "the samples of seed 2", "other samples than those of seed 1")
