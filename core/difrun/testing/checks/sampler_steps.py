"""Rules for samplers of Gaussian processes: single steps, uneven grids, the law of the noise, and the end of time."""

import itertools
import math

import torch
from scipy import stats

from difrun.grid.fixed import logsnr
from difrun.model.exact import ExactMixture
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler
from difrun.sampler.integration import carry, integrate
from difrun.testing.checks.sampler import USABLE, endpoint, exact, one_gaussian, refuses_no_signal, start
from difrun.testing.references import NoNoise, ReferenceFlow, observed_order, two_gaussians
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, ensure, ensure_close, ensure_equal, ensure_finite, name_of, shown

UNEVEN = {2: 0.3, 3: 0.1}
"""Order, up to 2 or above -> the share by which every other step in λ is longer than equal ones, the others shorter.

Methods of higher orders may refuse to extrapolate over a step that is much longer than the last.
"""

N = 10000
P_VALUE = 1e-6
"""About 5 standard errors, two-sided."""


@check("sampler", alone_in=USABLE)
def leaves_its_state_as_it_was(subject: ComponentUnderTest) -> None:
    """A step taken twice from one state gives the same sample twice: a step returns a new state, and changes none.

    Each step of a grid of 6 is taken twice with the same random numbers, from the state that the second one before
    returned. The end is that of a run in which every step is taken once.
    """
    sampler, model = subject.make(), exact(subject.partners[0])
    times = logsnr(model.process, 6)
    x = first = start(model, 3)
    instants = model.process.instants(times)
    state = sampler.prepare(model, instants)
    once, of_once = first, subject.make().prepare(model, instants)
    single = subject.make()
    with torch.no_grad():
        for k, (at, to) in enumerate(itertools.pairwise(instants)):
            before = x.clone()
            one, _ = sampler.step(model, x, at, to, state, Generator(k))
            two, state = sampler.step(model, x, at, to, state, Generator(k))
            ensure_equal(x, before, f"the sample that step {k + 1} starts from, after the step,")
            ensure_equal(two, one, f"step {k + 1}, taken again from the same state,")
            once, of_once = single.step(model, once, at, to, of_once, Generator(k))
            x = two
    ensure_equal(x, once, "the end of a run whose steps were taken twice")


@check("sampler", alone_in=USABLE)
def keeps_its_order_on_an_uneven_grid(subject: ComponentUnderTest) -> None:
    """The order of a deterministic sampler holds where long and short steps alternate: at most 0.35 below.

    Steps in λ are longer and shorter than equal ones by 30 % in turn, by 10 % for orders above 2. A multistep method
    that takes the last two steps for equal falls to order 1 here.
    """
    sampler = subject.make()
    if sampler.stochastic or sampler.order is None:
        raise NotTried("it is stochastic, or declares no order")
    counts = (40, 80, 160) if sampler.order <= 2 else (160, 320)
    process = subject.partners[0]
    model = exact(process)
    errors = [_end_error(sampler, model, uneven(process, steps, sampler.order)) for steps in counts]
    observed = observed_order(counts, errors) if min(errors) > 1e-10 else math.inf
    ensure(
        observed > sampler.order - 0.35,
        f"order {observed:.2f} on {name_of(process)}: the end is off by {shown(errors)} in {counts} uneven steps",
        f"{sampler.order}, and not less by more than 0.35",
    )


def uneven(process: GaussianProcess, steps: int, order: float) -> list[float]:
    """A grid whose steps in λ are long and short in turn; the number of steps must be even."""
    times = torch.tensor(logsnr(process, steps), dtype=torch.float64)
    lam = process.log_snr(times[1:-1])
    width = float(lam[1] - lam[0])
    lam[::2] += UNEVEN[2 if order <= 2 else 3] * width
    return [process.horizon, *process.time_at(lam).tolist(), process.t_min]


def _end_error(sampler: Sampler, model: ExactMixture, times: list[float]) -> float:
    error = integrate(sampler, model, start(model, 32), times) - endpoint(model.process)
    return error.square().mean().sqrt().item()


@check("sampler", alone_in=USABLE)
def inverts_the_flow_as_it_says(subject: ComponentUnderTest) -> None:
    """A sampler that `inverts` is deterministic, and in increasing time its error falls as steps^−order, or nearly so.

    The error is the distance from x_T, from where the exact probability flow leads to the data at which the steps
    begin: from 20 to 40 equal steps in λ, for orders above 2 from 80 to 160. The order may be lower by 0.5.
    """
    sampler = subject.make()
    if not sampler.inverts:
        raise NotTried("it does not say that it inverts the flow (Sampler.inverts)")
    ensure(
        not sampler.stochastic, "inverts = True, and stochastic = True", "one of them: noise cannot be undone"
    )
    ensure(
        sampler.order is not None and sampler.evaluations_in(1) is not None,
        "inverts = True for a sampler that chooses its own steps, or declares no order",
        "an order, and a fixed number of evaluations",
    )
    counts = (20, 40) if sampler.order <= 2 else (80, 160)
    model = exact(subject.partners[0])
    errors = []
    for steps in counts:
        data, times = endpoint(model.process).clone(), logsnr(model.process, steps)[::-1]
        noise = carry(sampler, model, data, times, NoNoise())
        errors.append((noise - start(model, 32)).square().mean().sqrt().item())
    observed = observed_order(counts, errors) if min(errors) > 1e-10 else math.inf
    ensure(
        observed > sampler.order - 0.5,
        f"order {observed:.2f} on {name_of(model.process)}: x_T is off by {shown(errors)} in {counts} steps",
        f"{sampler.order}, and not less by more than 0.5",
    )


@check("sampler", alone_in=USABLE)
def draws_noise_of_the_normal_law(subject: ComponentUnderTest) -> None:
    """For Gaussian data the samples of one stochastic step are Gaussian: Kolmogorov–Smirnov, 10 000 rows, p > 1e-6.

    Their fourth moment is 3 as well, to 6 standard errors: heavy tails, which the first test hardly sees.
    The rows start at one point, halfway in λ. Uniform or two-valued noise of the right variance is found here, and
    nowhere else: after many steps the sum of any noise is Gaussian.
    """
    sampler = subject.make()
    if not sampler.stochastic:
        raise NotTried("it is deterministic")
    process = subject.partners[0]
    model = one_gaussian(process)
    times = _one_step(process)
    x = torch.tensor([[0.3, -0.4]], dtype=torch.float64).expand(N, 2).clone()
    end = integrate(sampler, model, x, times, generator=11)
    z = (end - end.mean(0)) / end.std(0).clamp_min(1e-300)
    if bool((end.std(0) < 1e-9).any()):
        raise NotTried("it draws no noise in a step halfway")
    p = min(float(stats.kstest(z[:, k].numpy(), "norm").pvalue) for k in range(2))
    fourth = float(max(z.pow(4).mean(0), key=lambda moment: abs(moment - 3)))
    error = (24 / N) ** 0.5
    ensure(
        p > P_VALUE and abs(fourth - 3) < 6 * error,
        f"one step from {name_of(process)}: Kolmogorov–Smirnov against a Gaussian, p = {p:.2g}; fourth moment "
        f"{fourth:.3g}",
        f"p > {P_VALUE:g}, fourth moment 3 ± {6 * error:.2g} (uniform noise: 1.8)",
    )


def _one_step(process: GaussianProcess) -> list[float]:
    return logsnr(process, 8)[3:5]


@check("sampler", alone_in=USABLE)
def starts_where_nothing_of_the_data_is_left(subject: ComponentUnderTest) -> None:
    """On a rectified flow, where α = 0 and λ = −∞ at T, samples are finite, and have the mean and variance of the data.

    The error bar is 5 standard errors of 1000 samples, plus a twentieth of the standard deviation (of the variance a
    tenth), for 60 steps of equal length in time.
    """
    sampler, process, n = subject.make(), _flow(subject), 1000
    model, truth = exact(process), two_gaussians()
    if refuses_no_signal(sampler, model):
        raise NotTried("it refuses a process that has no signal at T, in words")
    for times in (logsnr(process, 1), _even(process, 60)):
        x = integrate(sampler, model, start(model, n), times, generator=1)
        ensure_finite(x, f"samples on {name_of(process)} in {len(times) - 1} steps")
    if sampler.evaluations_in(1) is not None and sampler.order is None and not sampler.stochastic:
        return
    spread = truth.var.sqrt()
    error = 5 * spread / n**0.5 + 0.05 * spread
    ensure_close(x.mean(0) / error, truth.mean / error, "the mean of the samples, in error bars,", atol=1)
    fourth = (x - x.mean(0)).pow(4).mean(0)
    error = 5 * ((fourth - truth.var**2).clamp_min(0) / n).sqrt() + 0.1 * truth.var
    ensure_close(x.var(0) / error, truth.var / error, "the variance of the samples, in error bars,", atol=1)


def _flow(subject: ComponentUnderTest) -> GaussianProcess:
    for process in subject.vanishing:
        if isinstance(process, ReferenceFlow):
            return process
    raise NotTried("it requires what the kit's rectified flow does not have")


def _even(process: GaussianProcess, steps: int) -> list[float]:
    first, last = process.horizon, process.t_min
    inner = [first + (last - first) * k / steps for k in range(1, steps)]
    return [first, *inner, last]
