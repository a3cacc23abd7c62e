"""The rule for stochastic samplers of Gaussian processes whose order is not measured: the law of their samples."""

import torch
from torch import Tensor

from difrun.grid.fixed import logsnr
from difrun.process.gaussian import GaussianProcess
from difrun.sampler.base import Sampler
from difrun.sampler.integration import integrate
from difrun.testing.checks.sampler import (
    USABLE,
    moment_errors,
    one_gaussian,
    refuses_no_signal,
    relative_errors,
    start,
)
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, ensure, name_of, shown

COUNTS = (160, 320)
N = 20000


@check("sampler", alone_in=USABLE)
def approaches_the_law_of_the_data(subject: ComponentUnderTest) -> None:
    """Mean and variance of samples of one Gaussian approach the true ones, also if a sampler declares no order.

    If the step is affine in its noise, they are computed exactly, in 160 and 320 steps, and continued to any number of
    steps as those of a method of order 1. What is left is at most twice their change, as for a method of order ½, plus
    0.002 of the standard deviation (of the variance). Otherwise they are estimated from 20 000 samples, also for a
    sampler with an order: the error in 320 steps is at most 1.2 times the change, plus 5 standard errors. A law that is
    too wide, however many steps are taken, is found here.
    """
    sampler = subject.make()
    if not sampler.stochastic:
        raise NotTried("it is deterministic")
    told = False
    for process in subject.partners:
        if refuses_no_signal(sampler, one_gaussian(process)):
            continue
        try:
            if sampler.order is not None:
                moment_errors(sampler, process, 2)
                continue
            coarse, fine = (moment_errors(sampler, process, steps) for steps in COUNTS)
            left, bar = 2 * fine - coarse, 2e-3 + 2 * (fine - coarse).abs()
        except ValueError:
            coarse, fine = (_estimated_errors(sampler, process, steps) for steps in COUNTS)
            standard = torch.tensor([1.0, 1.0, 2.0, 2.0], dtype=torch.float64).sqrt() / N**0.5
            left, bar = fine, 5 * standard + 1.2 * (fine - coarse).abs()
        told = True
        ensure(
            left.abs() <= bar,
            f"mean and variance on {name_of(process)}, over the true deviation and variance, are off by "
            f"{_numbers(fine)} in {COUNTS[1]} steps, by {_numbers(coarse)} in {COUNTS[0]}, and by {_numbers(left)} "
            "where they lead",
            f"0 ± {_numbers(bar)} where they lead",
        )
    if not told:
        raise NotTried("its order is measured on the exact law")


def _numbers(values: Tensor) -> str:
    return f"({shown(values.tolist())})"


def _estimated_errors(sampler: Sampler, process: GaussianProcess, steps: int) -> Tensor:
    model = one_gaussian(process)
    x = integrate(sampler, model, start(model, N), logsnr(process, steps), generator=1)
    return relative_errors(process, x.mean(0), x.var(0))
