"""Classifier-free guidance of discrete processes: log-ratios, extrapolated from any class through one class."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun_ising.discrete.guided import Guided, visible
from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.tilting import LARGEST_GAIN, tilt, tilt_cavity


class Extrapolated(Guided):
    r"""A model whose log-ratios are (1 − s) times those of any class plus s times those of the class of each row.

    s = 1 is the model of the class itself, and s = 0 that of any class. Other s may leave the simplex, to which every
    distribution is then cut. It takes one evaluation of twice as many rows if all rows are at one time, else two
    evaluations.

    Args:
        model: A model that knows classes.
        labels: The class of every row, (n,).
        scale: s at an instant.

    Raises:
        DifrunError: If the model does not predict p(x_0 | x_t), or knows no classes.

    References:
        Nisonoff et al. (2024), arXiv 2406.01572, eq. 4.
    """

    def __init__(self, model: DiscreteModel, labels: Tensor, scale: Callable[[Any], Any]):
        conditional: Any = model.condition_on(labels)
        super().__init__(conditional, _no_likelihood)
        any_class = torch.full_like(labels, -1)
        self.unconditional: Any = model.condition_on(any_class)
        self.both: Any = model.condition_on(torch.cat((labels, any_class)))
        self.model, self.strength = model, scale

    @property
    @override
    def couples_all(self) -> bool:
        """As its parts: the networks of the classes are taken to be as local as any."""
        return self.inner.couples_all or self.unconditional.couples_all

    @override
    def condition_on(self, labels: Tensor) -> Self:
        return type(self)(self.model, labels, self.strength)

    @override
    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        scale = self.strength(at)
        if not isinstance(scale, Tensor) and scale in (0, 1):
            return (self.inner if scale == 1 else self.unconditional).x0_distribution(x, at)
        conditional, unconditional = self._distributions(x, at)
        at = visible(at)
        gain = self._extrapolated_gain(x, conditional, unconditional, at, scale)
        return tilt(self.process, x, unconditional, gain, at)

    @override
    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        scale = self.strength(at)
        if not isinstance(scale, Tensor) and scale in (0, 1):
            return (self.inner if scale == 1 else self.unconditional).cavity(x, at, hidden)
        conditional, unconditional = self._distributions(x, at)
        cavity = self.unconditional.cavity(x, at, hidden)
        at = visible(at)
        gain = self._extrapolated_gain(x, conditional, unconditional, at, scale)
        return tilt_cavity(self.process, cavity, gain, at)

    def _distributions(self, x: Tensor, at: Instant) -> tuple[Tensor, Tensor]:
        """p(x_0 | x_t, class) and p(x_0 | x_t)."""
        if isinstance(at.t, Tensor) and at.t.ndim:
            return self.inner.x0_distribution(x, at), self.unconditional.x0_distribution(x, at)
        conditional, unconditional = self.both.x0_distribution(torch.cat((x, x)), at).chunk(2)
        return conditional, unconditional

    def _extrapolated_gain(
        self, x: Tensor, conditional: Tensor, unconditional: Tensor, at: Instant, scale: Any
    ) -> Tensor:
        """The gain: s times the difference of the log-ratios: (n, *sites, K); 0 where the ratios are not determined."""
        log_ratios = self.process.category_log_ratios
        difference = log_ratios(x, conditional, at) - log_ratios(x, unconditional, at)
        if isinstance(scale, Tensor):
            scale = scale.reshape(-1, *[1] * (difference.ndim - 1)).to(difference)
        return (scale * difference).nan_to_num(0.0).clamp(-LARGEST_GAIN, LARGEST_GAIN)


def _no_likelihood(x: Tensor, at: Instant) -> Tensor:
    raise DifrunError("a model that is guided without a classifier has no likelihood of its class")
