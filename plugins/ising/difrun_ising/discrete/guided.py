r"""Guided models of discrete processes: a log-likelihood added to the score.

The score of a discrete process is the log-ratio s_i(k) = log p_t(x with site i set to k)/p_t(x), for spins log of the
flip ratio (Lou et al., 2024, arXiv 2310.16834). By Bayes' rule that of p_t(x | y) is, with x^(i→k) for the changed x,

    s_i(k) + log p_t(y | x^(i→k)) − log p_t(y | x)

(Nisonoff et al., 2024, arXiv 2406.01572; Schiff et al., 2024, arXiv 2412.10193), and x is noised in the same
way whatever y is, so that the guided ratio says the guided p(x_0,i | x_t, y) in turn: see `tilted`.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model import ModelWrapper
from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.sites import divided, last

if TYPE_CHECKING:
    from difrun_ising.discrete.process import DiscreteProcess

LEAST = 1e-4
"""Least α at which x_t is asked for y: where nothing of x_0 is left the ratios no longer say p(x_0 | x_t, y)."""

MOST = 300.0
"""Largest |log| of what a ratio is multiplied with: p = 0 counts as e^−300."""

ROWS = 8192
"""Changed examples whose likelihood is asked for at once."""


class Guided(DiscreteModel, ModelWrapper):
    r"""A model of p(x_0 | x_t, y), from one of p(x_0 | x_t) and log p_t(y | x_t).

    All that samplers ask of a model follows from the guided ratios, so that each of them takes it. scale multiplies
    the log-likelihood: 1 is Bayes' rule, exact where model and likelihood are; others sharpen or blur, and then
    guidance may leave the simplex, to which every distribution is cut. The prior stays that of the model: x_T is
    taken not to know y.

    log_likelihood: (x, at) -> log p_t(y | x_t), (n,), −∞ allowed. It is evaluated at all changes of a single site, N
    (K − 1) of them for each x; with `first_order` once, and these are found from its gradient in x.
    Raises DifrunError for a model that does not say p(x_0 | x_t).
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
                "guidance needs p(x_0 | x_t), which a network of the reverse kernel does not say. Train one that "
                "predicts x_0: --model spin-cnn or spin-mlp."
            )
        super().__init__(model)
        self.log_likelihood, self.scale, self.first_order = log_likelihood, scale, first_order

    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        at = _visible(at)
        return tilted(self.process, x, self.inner.x0_distribution(x, at), self.gain(x, at), at)

    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        at = _visible(at)
        return tilted_cavity(self.process, self.inner.cavity(x, at, hidden), self.gain(x, at), at)

    def gain(self, x: Tensor, at: Instant) -> Tensor:
        """scale · [log p_t(y | x with site i set to k) − log p_t(y | x)]: (n, *sites, K), float64, within ±300."""
        e = self.process.states(x)
        difference = self._slopes(x, e, at) if self.first_order else self._differences(x, e, at)
        return (self.scale * difference).clamp(-MOST, MOST)

    def _slopes(self, x: Tensor, e: Tensor, at: Instant) -> Tensor:
        """To first order in the weights of every site's categories, on which x depends linearly."""
        whole = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        with torch.enable_grad():
            weights = whole.to(x.dtype).requires_grad_()
            value = self._asked(self.process.mean(weights), at, finite=True)
            (slopes,) = torch.autograd.grad(value.sum(), weights)
        slopes = slopes.double().nan_to_num(0.0)
        return slopes[..., :-1] - (slopes * whole).sum(-1, keepdim=True)

    def _differences(self, x: Tensor, e: Tensor, at: Instant) -> Tensor:
        """Exactly, from every change of one site, so many examples at a time."""
        categories, sites = e.shape[-1], math.prod(e.shape[1:-1])
        # Every site in turn takes the value j categories further; a masked site, all values.
        here = torch.where(e.sum(-1) > 0, e.argmax(-1), categories).flatten(1)
        values = self.process.mean(torch.eye(categories + 1, dtype=x.dtype, device=x.device))
        flat = x.reshape(len(x), sites, *values.shape[1:])
        rows, places, shifts = torch.meshgrid(
            *(torch.arange(count, device=x.device) for count in (len(x), sites, categories)), indexing="ij"
        )
        changes = ((here.unsqueeze(-1) == categories) | (shifts > 0)).flatten().nonzero()[:, 0]
        own = self._asked(x, at)
        found = torch.zeros(len(x), sites, categories, dtype=torch.float64, device=x.device)
        for part in changes.split(ROWS):
            row, place, shift = (index.flatten()[part] for index in (rows, places, shifts))
            target = (here[row, place] + shift) % categories
            changed = flat[row]
            changed[torch.arange(len(part), device=x.device), place] = values[target]
            asked = self._asked(changed.reshape(len(part), *x.shape[1:]), _of_rows(at, row), rows=row)
            found[row, place, target] = asked - own[row]
        return found.reshape(e.shape)

    def _asked(self, x: Tensor, at: Instant, finite: bool = False, rows: Tensor | None = None) -> Tensor:
        """log p_t(y | x_t), checked; −∞ as a very small number unless it is to be differentiated."""
        likelihood = self.log_likelihood
        if rows is not None and hasattr(likelihood, "rows"):  # it is of another y in every row
            likelihood = likelihood.rows(rows)
        value = likelihood(x, at)
        if value.shape != (len(x),):
            raise DifrunError(
                f"a log-likelihood of {len(x)} examples must have shape ({len(x)},), not {tuple(value.shape)}"
            )
        if bool(value.isnan().any()):
            raise DifrunError("the log-likelihood of the condition is not a number (NaN) for some x_t")
        return value if finite else value.double().clamp_min(-1e6)


class Extrapolated(Guided):
    r"""A model whose log-ratios are (1 − s) times those for any class and s times those of the class of each row.

    Nisonoff et al. (2024, arXiv 2406.01572, eq. 4), by `tilted` as all guidance here. s = 1 is the model of the class
    itself; other s may leave the simplex, to which every distribution is cut. One evaluation of twice as many rows
    where these are at one time, else two.

    scale: s at an instant. Raises DifrunError for a model that does not say p(x_0 | x_t), or knows no classes.
    """

    def __init__(self, model: DiscreteModel, labels: Tensor, scale: Callable[[Any], Any]):
        own: Any = model.condition_on(labels)
        super().__init__(own, _none)
        any_class = torch.full_like(labels, -1)
        self.free: Any = model.condition_on(any_class)
        self.both: Any = model.condition_on(torch.cat((labels, any_class)))
        self.model, self.strength = model, scale

    @override
    def condition_on(self, labels: Tensor) -> Self:
        return type(self)(self.model, labels, self.strength)

    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        scale = self.strength(at)
        if not isinstance(scale, Tensor) and scale == 1:
            return self.inner.x0_distribution(x, at)
        own, free = self._asked_of_both(x, at)
        at = _visible(at)
        return tilted(self.process, x, free, self._gain(x, own, free, at, scale), at)

    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        scale = self.strength(at)
        if not isinstance(scale, Tensor) and scale == 1:
            return self.inner.cavity(x, at, hidden)
        own, free = self._asked_of_both(x, at)
        cavity = self.free.cavity(x, at, hidden)
        at = _visible(at)
        return tilted_cavity(self.process, cavity, self._gain(x, own, free, at, scale), at)

    def _asked_of_both(self, x: Tensor, at: Instant) -> tuple[Tensor, Tensor]:
        """The distributions of the class and of any."""
        if isinstance(at.t, Tensor) and at.t.ndim:
            return self.inner.x0_distribution(x, at), self.free.x0_distribution(x, at)
        own, free = self.both.x0_distribution(torch.cat((x, x)), at).chunk(2)
        return own, free

    def _gain(self, x: Tensor, own: Tensor, free: Tensor, at: Instant, scale: Any) -> Tensor:
        """s times the difference of the log-ratios: (n, *sites, K); 0 where they are not told."""
        # Of every category; for spins `Ising.log_ratios` says them in another shape.
        own, free = (DiscreteProcess.log_ratios(self.process, x, p0, at) for p0 in (own, free))
        difference = own - free
        if isinstance(scale, Tensor):
            scale = scale.reshape(-1, *[1] * (difference.ndim - 1)).to(difference)
        return (scale * difference).nan_to_num(0.0).clamp(-MOST, MOST)


def _none(x: Tensor, at: Instant) -> Tensor:
    """The likelihood that `Extrapolated` has no use for."""
    raise DifrunError("a model that is guided without a classifier has no likelihood of its class")


def tilted(process: "DiscreteProcess", x: Tensor, p0: Tensor, gain: Tensor, at: Instant) -> Tensor:
    r"""The distribution of x_0 at every site whose ratios at x_t are those of p0 times e^gain: (n, *sites, K), float64.

    With D(k) = q(x_t | x_0 = k), w = p0/D and W = Σ w the ratios are r(k) = α w(k) + (1 − α) π(k) W. Multiplied by
    1 + δ = e^gain, and with c = α + (1 − α) Σ_k π(k), they belong to

        p0'(k) = p0(k) + D(k) [r(k) δ(k) − (1 − α) π(k) Σ_j r(j) δ(j)/c]/α,

    the solution of K linear equations whose matrix is a multiple of the identity plus one of rank one; for a masked
    site p0(k) e^gain. Where this leaves the simplex it is cut to [0, 1] and normalised. α must not be 0.
    """
    below = process.likelihood(x, at)
    w = divided(p0, below)
    alpha = last(process.keep(at, w.shape[:-1]))
    pi = process.mixing_distribution(w.shape[-1], w.device)[:-1]
    change = (alpha * w + (1 - alpha) * pi * w.sum(-1, keepdim=True)) * gain.expm1()
    kept = alpha + (1 - alpha) * pi.sum()
    return _cut(p0 + below * (change - (1 - alpha) * pi * change.sum(-1, keepdim=True) / kept) / alpha)


def tilted_cavity(process: "DiscreteProcess", cavity: Tensor, gain: Tensor, at: Instant) -> Tensor:
    r"""The distribution c' of x_0 at every site, of x_t without it, for which α c' + (1 − α) π is that of c times
    e^gain.

    With h = α c + (1 − α) π over the categories, c as above and Z = 1 + Σ h δ/c it is
    c' = [c + (h δ − (1 − α) π (Z − 1))/α]/Z: a heat bath by it draws from p_t(x_i | all others, y). gain: up to a
    constant per site.
    """
    alpha = last(process.keep(at, cavity.shape[:-1]))
    pi = process.mixing_distribution(cavity.shape[-1], cavity.device)[:-1]
    gain = gain - gain.amax(-1, keepdim=True)
    change = (alpha * cavity + (1 - alpha) * pi) * gain.expm1()
    more = change.sum(-1, keepdim=True) / (alpha + (1 - alpha) * pi.sum())  # Z − 1
    return _cut((cavity + (change - (1 - alpha) * pi * more) / alpha) / (1 + more).clamp_min(1e-300))


def _cut(distribution: Tensor) -> Tensor:
    distribution = distribution.clamp_min(0)
    return distribution / distribution.sum(-1, keepdim=True)


def _visible(at: Instant) -> Instant:
    """The instant, with α at least `LEAST`."""

    def raised(alpha: Any) -> Any:
        return alpha.clamp_min(LEAST) if isinstance(alpha, Tensor) else max(alpha, LEAST)

    return attrs.evolve(at, alphas=tuple(raised(alpha) for alpha in at.alphas))


def _of_rows(at: Instant, rows: Tensor) -> Instant:
    """The instant of each of these rows, where a batch has one per row."""

    def picked(field: Any) -> Any:
        return field[rows] if isinstance(field, Tensor) and field.ndim and len(field) > 1 else field

    return Instant(picked(at.t), tuple(picked(alpha) for alpha in at.alphas))
