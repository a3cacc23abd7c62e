r"""Guided models of discrete processes: a log-likelihood added to the score.

The score of a discrete process is the log-ratio s_i(k) = log p_t(x with site i set to k)/p_t(x), for spins the log of
the flip ratio (Lou et al., 2024, arXiv 2310.16834). By Bayes' rule the score of p_t(x | y) is,
with x^(i→k) for the changed x,

    s_i(k) + log p_t(y | x^(i→k)) − log p_t(y | x)

(Nisonoff et al., 2024, arXiv 2406.01572; Schiff et al., 2024, arXiv 2412.10193). x is noised in the same way whatever y
is, so the guided ratio determines the guided p(x_0,i | x_t, y) in turn: see `tilting`.
"""

import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model import ModelWrapper
from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.sites import with_mask
from difrun_ising.discrete.tilting import LARGEST_GAIN, tilt, tilt_cavity

LEAST_ALPHA = 1e-4
"""Least α at which y is evaluated: at α = 0 the ratios no longer determine p(x_0 | x_t, y)."""

BLOCK = 8192
"""Changed examples whose likelihood is evaluated at once."""


class Guided(DiscreteModel, ModelWrapper):
    r"""A model of p(x_0 | x_t, y), from one of p(x_0 | x_t) and log p_t(y | x_t).

    Everything that samplers ask of a model follows from the guided ratios, so every sampler works with it. The prior
    stays that of the model: x_T is assumed not to depend on y.

    Args:
        model: The model of p(x_0 | x_t).
        log_likelihood: (x, at) -> log p_t(y | x_t), with shape (n,); −∞ is allowed.
        scale: The factor of the log-likelihood. 1 is Bayes' rule, exact where model and likelihood are. With
            other scales guidance may leave the simplex, to which every distribution is then cut.
        first_order: Whether to evaluate the log-likelihood once and take all changes of a site from its gradient in x;
            else it is evaluated for all N (K − 1) changes of a single site.

    Raises:
        DifrunError: If the model does not predict p(x_0 | x_t).
    """

    def __init__(
        self,
        model: DiscreteModel,
        log_likelihood: Callable[[Tensor, Instant], Tensor],
        scale: float = 1.0,
        first_order: bool = False,
    ):
        if getattr(model, "predicts", "x0") != "x0":
            raise DifrunError(
                "guidance needs p(x_0 | x_t), which a network of the reverse kernel does not predict. Train one that "
                "predicts x_0: --model spin-cnn or spin-mlp."
            )
        super().__init__(model)
        self.log_likelihood, self.scale, self.first_order = log_likelihood, scale, first_order

    @property
    @override
    def couples_all(self) -> bool:
        """True, as the likelihood may depend on all sites together; but not where it has no weight."""
        return self.scale != 0 or self.inner.couples_all

    @override
    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        at = visible(at)
        return tilt(self.process, x, self.inner.x0_distribution(x, at), self.gain(x, at), at)

    @override
    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        at = visible(at)
        return tilt_cavity(self.process, self.inner.cavity(x, at, hidden), self.gain(x, at), at)

    def gain(self, x: Tensor, at: Instant) -> Tensor:
        """The gain scale · [log p_t(y | x^(i→k)) − log p_t(y | x)]: (n, *sites, K), float64, within ±300."""
        e = self.process.states(x)
        difference = self._first_order(x, e, at) if self.first_order else self._differences(x, e, at)
        return (self.scale * difference).clamp(-LARGEST_GAIN, LARGEST_GAIN)

    def _first_order(self, x: Tensor, e: Tensor, at: Instant) -> Tensor:
        """To first order in the weights of the categories of every site, on which x depends linearly."""
        one_hot = with_mask(e)
        with torch.enable_grad():
            weights = one_hot.to(x.dtype).requires_grad_()
            value = _checked(self.log_likelihood(self.process.mean(weights), at), len(x))
            (slopes,) = torch.autograd.grad(value.sum(), weights)
        slopes = slopes.double().nan_to_num(0.0)
        return slopes[..., :-1] - (slopes * one_hot).sum(-1, keepdim=True)

    def _differences(self, x: Tensor, e: Tensor, at: Instant) -> Tensor:
        """Exactly, from every change of one site, a block of changed examples at a time."""
        categories, sites = e.shape[-1], math.prod(e.shape[1:-1])
        # The value of every site; a masked site has the number K.
        current = torch.where(e.sum(-1) > 0, e.argmax(-1), categories).flatten(1)
        values = self.process.mean(torch.eye(categories + 1, dtype=x.dtype, device=x.device))
        flat = x.reshape(len(x), sites, *values.shape[1:])
        # Every site takes the value that is `shift` categories further; a masked site takes all values.
        rows, places, shifts = torch.meshgrid(
            *(torch.arange(count, device=x.device) for count in (len(x), sites, categories)), indexing="ij"
        )
        changes = ((current.unsqueeze(-1) == categories) | (shifts > 0)).flatten().nonzero()[:, 0]
        before = self._evaluate(x, at)
        differences = torch.zeros(len(x), sites, categories, dtype=torch.float64, device=x.device)
        for block in changes.split(BLOCK):
            row, place, shift = (index.flatten()[block] for index in (rows, places, shifts))
            target = (current[row, place] + shift) % categories
            changed = flat[row]
            changed[torch.arange(len(block), device=x.device), place] = values[target]
            after = self._evaluate(changed.reshape(len(block), *x.shape[1:]), _of_rows(at, row), row)
            differences[row, place, target] = after - before[row]
        return differences.reshape(e.shape)

    def _evaluate(self, x: Tensor, at: Instant, rows: Tensor | None = None) -> Tensor:
        """The value log p_t(y | x_t), with a very small number in place of −∞."""
        likelihood: Any = self.log_likelihood
        if rows is not None and hasattr(likelihood, "rows"):  # y differs between the rows
            likelihood = likelihood.rows(rows)
        return _checked(likelihood(x, at), len(x)).double().clamp_min(-1e6)


def _checked(value: Tensor, count: int) -> Tensor:
    """The value, after a check that it is a log-likelihood of `count` examples."""
    if value.shape != (count,):
        raise DifrunError(
            f"a log-likelihood of {count} examples must have shape ({count},), not {tuple(value.shape)}"
        )
    if bool(value.isnan().any()):
        raise DifrunError("the log-likelihood of the condition is not a number (NaN) for some x_t")
    return value


def visible(at: Instant) -> Instant:
    """The instant, with α at least `LEAST_ALPHA`."""

    def raised(alpha: Any) -> Any:
        return alpha.clamp_min(LEAST_ALPHA) if isinstance(alpha, Tensor) else max(alpha, LEAST_ALPHA)

    return attrs.evolve(at, alphas=tuple(raised(alpha) for alpha in at.alphas))


def _of_rows(at: Instant, rows: Tensor) -> Instant:
    """The instant of each of these rows, where a batch has one per row."""

    def select(field: Any) -> Any:
        return field[rows] if isinstance(field, Tensor) and field.ndim and len(field) > 1 else field

    return Instant(select(at.t), tuple(select(alpha) for alpha in at.alphas))
