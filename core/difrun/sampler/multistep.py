r"""Multistep methods: one engine, one routine for coefficients, any frame.

A *frame* turns the probability flow into dy/dc = k(c) q(y, c): a clock c that grows along the way, a kernel k, and a
slope q that costs one network evaluation. The step from c_i to c_{i+1} integrates the kernel exactly against the
polynomial through the last slopes,

    y_{i+1} = y_i + Σ_j w_j q_j,    w_j = ∫ k(c) ℓ_j(c) dc   over [c_i, c_{i+1}],

with ℓ_j the Lagrange polynomials of the nodes used: p nodes give the predictor, of order p. When q_{i+1} is known, the
same step is taken again with the new node among p + 1, without another evaluation: the corrector, which raises the
order to p + 1 (Adams; Zhao et al., 2023, arXiv 2302.04867, for the exponential case). The next step starts from there.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import cast_like
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler

MEMORY = 8
"""How many slopes of earlier steps are remembered; more than any order in use needs."""


@lru_cache
def _quadrature(points: int) -> tuple[Tensor, Tensor]:
    """Places in [−1, 1] and weights of Gauss–Legendre quadrature."""
    places, weights = np.polynomial.legendre.leggauss(points)
    return torch.from_numpy(places), torch.from_numpy(weights)


def coefficients(
    nodes: Tensor | Sequence[float],
    start: Tensor | float,
    end: Tensor | float,
    kernel: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    r"""Return w_j = ∫ k(c) ℓ_j(c) dc over [start, end], with ℓ_j the Lagrange polynomials of the nodes.

    Gauss–Legendre quadrature in float64, exact to rounding: with as many points as the polynomials need, with 24 for a
    kernel. Differentiable in nodes, start and end.

    Args:
        nodes: Distinct nodes, (..., p): any number of integrals at once.
        start: Where the integrals start, (...,).
        end: Where they end, (...,).
        kernel: k; None is 1.

    Returns:
        The weights, (..., p).
    """
    places, low, high = (torch.as_tensor(value, dtype=torch.float64) for value in (nodes, start, end))
    count = places.shape[-1]
    knots, shares = _quadrature((count + 1) // 2 if kernel is None else 24)
    half = 0.5 * (high - low)[..., None]
    points = low[..., None] + half * (knots + 1)
    measure = half * shares
    if kernel is not None:
        measure = measure * kernel(points)
    # ℓ_j(c_k) = Π over i ≠ j of (c_k − c_i)/(c_j − c_i)
    same = torch.eye(count, dtype=torch.bool)
    gaps = points[..., None, None, :] - places[..., None, :, None]
    above = torch.where(same[:, :, None], 1.0, gaps).prod(-2)
    below = torch.where(same, 1.0, places[..., :, None] - places[..., None, :]).prod(-1)
    return (above * measure[..., None, :]).sum(-1) / below


class Frame:
    """The coordinates in which a multistep method works, for one model: dy/dc = k(c) q."""

    change_shape: tuple[int, ...] = ()
    """Leading shape of a change of weights (`along_axes`)."""

    def __init__(self, model: ScoreModel):
        self.model = model

    def clock(self, at: Any) -> float:
        """Return the clock c at an instant, which grows along the way; −inf at T if nothing of the data is left."""
        raise NotImplementedError

    def nodes(self, clocks: Tensor) -> Tensor:
        """Return the nodes of the polynomials for clocks (n,): (n,), or (n, d) with one for each of d axes."""
        return clocks

    def kernel(self, clocks: Tensor) -> Tensor:
        """Return the kernel k at some clocks; 1 unless overridden."""
        return torch.ones_like(clocks)

    def from_infinity(self, clock: float) -> float:
        """Return ∫ k(c) dc from −∞; only for a clock that can be −inf."""
        raise NotImplementedError

    def along_axes(self, change: Tensor) -> Tensor:
        """Return a change of weights (*change_shape, p) in the shape of weights: (p,), or (d, p) for d axes."""
        return change

    def enter(self, x: Tensor, at: Any) -> Tensor:
        """Return y for x."""
        raise NotImplementedError

    def leave(self, y: Tensor, at: Any) -> Tensor:
        """Return x for y."""
        raise NotImplementedError

    def slope(self, x: Tensor, at: Any) -> Tensor:
        """Return the slope q at x: one evaluation of the model."""
        raise NotImplementedError


StepWeights = tuple[list[Any], list[Any]]
"""Weights of a step: those of the previous step's corrector (empty if there is none), and of its own predictor.

Each is a number or, where every axis has a clock of its own, a tensor (d,).
"""

Change = tuple[Any, Any]
"""What is added to the two rows of weights of a step, in units of its length; the last number is of the last slope.

Shape (*change_shape, p) each, with `Frame.change_shape`.
"""


def weights(frame: Frame, clocks: Sequence[Any], order: int, corrected: bool) -> list[tuple[Tensor, Tensor]]:
    """Return the weights (corrector, predictor) of every step between the clocks, which are numbers or tensors.

    The shape is (p,) each, (d, p) where every axis has a clock of its own; a missing corrector is empty.
    """
    # A node at −inf serves the first step alone: no polynomial passes through it.
    first = 0 if math.isfinite(clocks[0]) else 1
    steps = range(len(clocks) - 1)
    # The first steps are always corrected: otherwise their low order would become that of the method.
    corrections = [i for i in steps if i > first and (corrected or i < first + order)]
    # (first node, behind the last one, step): a polynomial, and the step over which it is integrated
    spans = [(max(first, i - order), i + 1, i - 1) for i in corrections]
    spans += [(max(first, i + 1 - order), i + 1, i) for i in steps[first:]]
    integrals = _integrals(frame, clocks, spans)
    correctors = dict(zip(corrections, integrals[: len(corrections)], strict=True))
    predictors = [torch.tensor([frame.from_infinity(clocks[1])])] if first else []
    predictors += integrals[len(corrections) :]
    none = torch.empty(0)
    return [(correctors.get(i, none), predictors[i]) for i in steps]


def _integrals(frame: Frame, clocks: Sequence[Any], spans: Sequence[tuple[int, int, int]]) -> list[Tensor]:
    """The weights of every span, those with equally many nodes computed together."""
    grid = _nodes(frame, clocks)
    kernel = None if type(frame).kernel is Frame.kernel else frame.kernel
    by_span: dict[int, Tensor] = {}
    for count in {high - low for low, high, _ in spans}:
        same_count = [k for k, (low, high, _) in enumerate(spans) if high - low == count]
        lows, steps = (torch.tensor([spans[k][part] for k in same_count]) for part in (0, 2))
        nodes = grid[lows[:, None] + torch.arange(count)].movedim(1, -1)
        rows = coefficients(nodes, grid[steps], grid[steps + 1], kernel)
        by_span.update(zip(same_count, rows.unbind(), strict=True))
    return [by_span[k] for k in range(len(spans))]


def altered(
    frame: Frame, clocks: Sequence[Any], order: int, corrected: bool, changes: Sequence[Change]
) -> list[tuple[Tensor, Tensor]]:
    """Return `weights` plus changes, one pair (corrector, predictor) per step, in units of that step's length.

    A change may reach further back than the polynomial; an empty one leaves the weights as they are.

    Raises:
        DifrunError: If a change has another shape than the frame takes.
    """
    rows, steps = weights(frame, clocks, order, corrected), _nodes(frame, clocks).diff(dim=0)
    return [
        (_moved(frame, row[0], change[0], step), _moved(frame, row[1], change[1], step))
        for row, change, step in zip(rows, changes, steps, strict=True)
    ]


def _moved(frame: Frame, row: Tensor, change: Any, step: Tensor) -> Tensor:
    change = torch.as_tensor(change, dtype=torch.float64)
    if not change.numel():
        return row
    if change.shape[:-1] != frame.change_shape or change.shape[-1] < row.shape[-1]:
        raise DifrunError(
            "These weights were tuned for a model of other data: remove the tuned weights, and tune again."
        )
    earlier = row.new_zeros(*row.shape[:-1], change.shape[-1] - row.shape[-1])
    return torch.cat([earlier, row], -1) + step[..., None] * frame.along_axes(change)


def _nodes(frame: Frame, clocks: Sequence[Any]) -> Tensor:
    """`Frame.nodes` of clocks that are numbers or tensors."""
    if all(isinstance(c, float) for c in clocks):
        return frame.nodes(torch.tensor(clocks, dtype=torch.float64))
    return frame.nodes(torch.stack([torch.as_tensor(c, dtype=torch.float64) for c in clocks]))


class Multistep(Sampler):
    """A multistep predictor, with or without corrector, in the frame that a subclass gives."""

    evaluations = 1
    inverts = True

    def frame(self, model: ScoreModel) -> Frame:
        """Return the frame for a model."""
        raise NotImplementedError

    def scheme(self, steps: int) -> tuple[int, bool]:
        """Return the order of the predictor and whether it is corrected, on a grid of this many steps."""
        raise NotImplementedError

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> Any:
        """Return the frame and, per step, the weights of the corrector of the step before and of the predictor."""
        frame = self.frame(model)
        return initial_state(frame, self.rows(frame, instants))

    def rows(self, frame: Frame, instants: Sequence[Any]) -> list[StepWeights]:
        """Return the weights of every step."""
        return self.changed(frame, instants, None)

    def changed(
        self, frame: Frame, instants: Sequence[Any], changes: Sequence[Change] | None
    ) -> list[StepWeights]:
        """Return the weights of every step, with changes that tuning found (`altered`), if any."""
        clocks = [frame.clock(at) for at in instants]
        scheme = self.scheme(len(clocks) - 1)
        if changes is None:
            return as_rows(weights(frame, clocks, *scheme))
        return as_rows(altered(frame, clocks, *scheme, changes))

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        frame, rows, k, slopes, last_y, last_x = state
        if k == 0:
            rows = [(_like(x, corrector), _like(x, predictor)) for corrector, predictor in rows]
        corrector, predictor = rows[k]
        slopes = [*slopes[-MEMORY:], frame.slope(x, at)]
        if not corrector:
            y = frame.enter(x, at)
        else:
            y = combined(last_y, corrector, slopes)
            # A corrector may have moved x since the last step: its change stays, and the correction is added.
            if x is not last_x:
                y = y + (frame.enter(x, at) - frame.enter(last_x, at))
        x = frame.leave(combined(y, predictor, slopes), to)
        return x, MultistepState(frame, rows, k + 1, slopes, y, x)


class MultistepState(NamedTuple):
    """State of a multistep method after k steps, with the last slopes; the last step led from `last_y` to `last_x`."""

    frame: Frame
    rows: Sequence[StepWeights]
    k: int
    slopes: list[Tensor]
    last_y: Tensor | None
    last_x: Tensor | None


def initial_state(frame: Frame, rows: Sequence[StepWeights]) -> MultistepState:
    """Return the state of a multistep method before its first step."""
    return MultistepState(frame, rows, 0, [], None, None)


def as_rows(rows: Sequence[tuple[Tensor, Tensor]]) -> list[StepWeights]:
    """Return rows of weights as the loop takes them: numbers, or a tensor (d,) per slope."""

    def parts(row: Tensor) -> list[Any]:
        return row.tolist() if row.ndim == 1 else list(row.unbind(-1))

    return [(parts(corrector), parts(predictor)) for corrector, predictor in rows]


def _like(x: Tensor, row: Sequence[Any]) -> list[Any]:
    """Weights in the dtype and on the device of x, where they are tensors."""
    return [cast_like(w, x) if isinstance(w, Tensor) else w for w in row]


def combined(y: Tensor, row: Sequence[Any], slopes: Sequence[Tensor]) -> Tensor:
    """Return y + Σ w_j q_j, the last weight with the last slope."""
    for weight, slope in zip(row, slopes[-len(row) :], strict=True):
        y = y + weight * slope if isinstance(weight, Tensor) else y.add(slope, alpha=weight)
    return y
