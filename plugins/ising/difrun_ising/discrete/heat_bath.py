"""Heat-bath sweeps after the steps of another sampler."""

import math
from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_ising.discrete.colouring import class_count, colouring
from difrun_ising.discrete.jump_samplers import FlowEuler, TauLeap
from difrun_ising.discrete.options import HeatBathOptions
from difrun_ising.discrete.reverse_kernel import ReverseKernel
from difrun_ising.discrete.sites import Sites


@attrs.frozen
class HeatBath(Sampler, HeatBathOptions):
    r"""Steps of a predictor, each followed by heat-bath sweeps at the level reached: a predictor–corrector for spins.

    The model gives the exact conditionals of the noised distribution. With the cavity distribution c_i of x_0,i, from
    x_t without x_t,i,

        p_t(x_t,i = y | all others) = α_t c_i(y) + (1 − α_t) π(y),

    for flips (1 + ρ tanh(g_i/2))/2 with g_i the cavity log-odds. A sweep redraws the sites from it, one class of sites
    after the other, all sites of a class at once and with one evaluation per class.

    Two classes are the sublattices; with an odd side above 1 there are three, as a torus needs. No two sites of a class
    are neighbours, so at t = 0 a sweep leaves the distribution of a lattice unchanged, whatever its sides. At t > 0 the
    sites of a class still depend on each other a little, given the others; with more classes they lie further apart,
    and the error falls. A guidance by a likelihood, such as that of the magnetisation, may couple all sites: every site
    is a class of its own then, and a sweep takes as many evaluations as there are sites.

    The cavity distribution is as good as the model. At little noise, where a site's own value is nearly certain, a
    network hardly learns it, and sweeps may harm.

    Attributes:
        predictor: The sampler whose steps are corrected.
        sweeps: The sweeps after a step.
        classes: The number of classes, at least three of which are used with an odd side.
        last: The number of last steps that are corrected; None for all.
        to_data: Whether the step that ends at t = 0 is corrected.
    """

    order = 1
    stochastic = True
    evaluations = None

    @override
    def evaluations_in(self, steps: int) -> int | None:
        corrected = steps if self.last is None else min(self.last, steps)
        if corrected > 0 and not self.to_data:
            corrected -= 1
        if self.classes == 2 and corrected > 0:
            return None  # a lattice with an odd side has three classes
        return steps + self.classes * self.sweeps * corrected

    @override
    def prepare(self, model: Any, instants: Any) -> float:
        """The time from which on steps are corrected."""
        times = [instant.t for instant in instants]
        if self.last is None or self.last >= len(times):
            return float(times[0])
        return float(times[-self.last - 1])

    @override
    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x, _ = PREDICTORS[self.predictor]().step(model, x, at, to, None, generator)
        if at.t <= state and (to.t > 0 or self.to_data):
            for _ in range(self.sweeps):
                x = sweep(model, x, to, generator, self.classes)
        return x, state


PREDICTORS: dict[str, type[Sampler]] = {
    "reverse-kernel": ReverseKernel,
    "tau-leap": TauLeap,
    "flow-euler": FlowEuler,
}


def sweep(model: Any, x: Tensor, at: Any, generator: Generator, classes: int = 2) -> Tensor:
    """One heat-bath sweep of x = x_t at its own level, one class of sites after the other."""
    process = model.process
    sites = process.sites(x.shape)[1:]
    colour, count = sweep_classes(model, sites, classes, x.device)
    for turn in range(count):
        chosen = colour == turn
        conditional = Sites(process.marginal(model.cavity(x, at, chosen), at), process, x.dtype)
        drawn = conditional.sample(generator)
        x = torch.where(chosen.reshape(*sites, *(1,) * (x.ndim - 1 - len(sites))), drawn, x)
    return x


def sweep_classes(
    model: Any, sites: tuple[int, ...], classes: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, int]:
    """Return the class of every site in a sweep, (*sites), and their number: a `colouring`, or each site by itself."""
    if getattr(model, "couples_all", False):
        count = math.prod(sites)
        return torch.arange(count, device=device).reshape(sites), count
    return colouring(sites, classes, device), class_count(sites, classes)
