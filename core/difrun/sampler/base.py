r"""The contract of a sampler: one step from an instant to an earlier one.

Runge–Kutta samplers of the core work in the *straight frame*. Dividing x_t = α x_0 + σ ε by α + σ gives

    y = x/(α + σ) = (1 − τ) x_0 + τ ε,    τ = σ/(α + σ),

so that in (y, τ) the probability flow of every Gaussian process is that of a rectified flow: dy/dτ = ε̂ − x̂_0. Both
ends are regular, whatever the process, and Euler's method in it is DDIM (Song et al., 2021, arXiv 2010.02502).
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from difrun.model.base import ScoreModel
from difrun.randomness.generator import Generator
from difrun.report.card import card


class Sampler:
    """One step of a method. It owns neither grid, device, progress bar nor loop.

    Attributes:
        order: Order of convergence to the endpoint of the probability flow. For a stochastic method the weak order p:
            with the exact model, means, variances and other expectations of the samples are off by O(h^p) in the step
            h. None for a method that chooses its own steps or was made for one grid, and for a stochastic method whose
            error is no power of the step; its docstring says how large it is.
        evaluations: Calls of the model in one step; None where it depends on the trajectory.
        stochastic: Whether the step draws random numbers.
        ends_at_data: Whether its step may end at t = 0, without noise. Else the last step there is x̂_0.
        inverts: Whether its step also follows the flow in increasing time, from data to noise (`difrun.invert`).
        accuracy: Names of the options that set the accuracy in place of the number of steps; a run reports them.
    """

    order: int | None
    evaluations: int | None = 1
    stochastic: bool = False
    ends_at_data: bool = False
    inverts: bool = False
    accuracy: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _repr_html_(self) -> str:
        rows = [
            ("order", "none declared" if self.order is None else self.order),
            (
                "evaluations in a step",
                "as many as it takes" if self.evaluations is None else self.evaluations,
            ),
            ("random numbers", "yes" if self.stochastic else "none"),
        ]
        return card(repr(self).strip("<>"), rows)

    def evaluations_in(self, steps: int) -> int | None:
        """Return how often the model is called on a grid.

        Args:
            steps: The number of steps of the grid.

        Returns:
            The number of calls; None if it can only be counted while sampling.
        """
        return None if self.evaluations is None else steps * self.evaluations

    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> Any:
        """Return the state before the first step: what depends on model and grid alone, such as coefficients.

        Args:
            model: The model, in coordinates measured from the mean of the process.
            instants: The instants of the grid, steps + 1 from T down to t_min.

        Returns:
            The state that the first `step` gets; None if the method needs none.
        """
        return None

    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        """Take one step. A corrector is a sampler called with to = at.

        Args:
            model: The model, in coordinates measured from the mean of the process.
            x: The sample at the instant `at`, (n, ...). Between two steps a corrector may move it.
            at: The instant of the step's start.
            to: The instant of its end.
            state: What `prepare` or the step before returned. It is not changed in place: a step can be repeated.
            generator: The source of random numbers.

        Returns:
            The sample at `to`, and the state for the next step.
        """
        raise NotImplementedError
