r"""The contract of a sampler: one step from an instant to an earlier one.

Deterministic samplers of the core work in the *straight frame*. Dividing x_t = α x_0 + σ ε by α + σ gives

    y = x/(α + σ) = (1 − τ) x_0 + τ ε,    τ = σ/(α + σ),

so that in (y, τ) the probability flow of every Gaussian process is that of a rectified flow: dy/dτ = ε̂ − x̂_0. Both
ends are regular, whatever the process, and Euler's method in it is DDIM (Song et al., 2021, arXiv 2010.02502).
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from difrun.randomness.generator import Generator


class Sampler:
    """One step of a method. It owns neither grid, device, progress bar nor loop.

    order: of convergence to the endpoint of the probability flow. For a stochastic method the weak order p: with the
        exact model, means, variances and other expectations of the samples are off by O(h^p) in the step h. None for
        a stochastic method without one, whose error is no power of the step; its docstring says how large it is; and
        for a method that chooses its own steps or was made for one grid.
    evaluations: calls of the model in one step; None where it depends on the trajectory.
    stochastic: whether the step draws random numbers.
    accuracy: names of the options that set the accuracy in the place of the number of steps, which a run then tells.
    """

    order: int | None
    evaluations: int | None = 1
    stochastic: bool = False
    accuracy: Sequence[str] = ()

    def evaluations_in(self, steps: int) -> int | None:
        """Calls of the model on a grid of so many steps; None where only the run will tell, which then counts them."""
        return None if self.evaluations is None else steps * self.evaluations

    def prepare(self, model: Any, instants: Sequence[Any]) -> Any:
        """The state before the first step: what depends on the grid alone. None unless a method needs more."""
        return None

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        """x at the instant `to`, given x at `at`, and the state for the next step.

        Coordinates are measured from the mean of the process. A corrector is a sampler called with to = at. The state
        is not changed in place, so that a step can be taken again; between two steps others may move x.
        """
        raise NotImplementedError
